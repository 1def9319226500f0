internal import SystemPackage
internal import UnixSockets

/// Pipes of ended jobs that their consumers may still hold: what their buffers are, and whose they are. Belongs to the
/// loop's thread.
///
/// The kernel counts the buffers of a pipe as the service's, as long as a consumer has the read end. After the job's end the
/// service has no end of it, and must not: an open write end would keep the end of file from the consumer. What is left
/// to it is the pipe's *place* (O_PATH), which is neither reader nor writer. Opened through its place, a pipe that a consumer
/// still holds is the same one; a pipe that none holds any more is made anew, with the kernel's default capacity. So a
/// pipe without bytes is shrunk to one page, which a new one never has: when it is looked at again, its capacity tells which
/// of the two it is.
///
/// A look at a pipe costs four to nine system calls. Pipes are looked at when a client asks for the sum, when the sum
/// decides something, when many jobs have ended, and on a timer that backs off and ends with the last pipe.
final class KeptPipes {
    /// Pipes of one user that are looked after. Each costs a descriptor.
    static let mostOfUser = 1024
    /// Pipes that are looked at before as many more jobs have ended again.
    private static let fewPipes = 64
    /// The pauses between looks on the timer, in seconds.
    private static let firstPause = 1.0
    private static let longestPause = 1024.0

    private final class Kept {
        let userID: UInt32
        let place: OwnedDescriptor
        var bytes: Int
        /// Bytes that were unread when it was last shrunk.
        var unread = -1

        init(userID: UInt32, place: consuming OwnedDescriptor, bytes: Int) {
            self.userID = userID
            self.place = place
            self.bytes = bytes
        }
    }

    /// What one user keeps.
    struct Sum: Equatable {
        var pipes = 0
        /// Buffers, in bytes.
        var bytes = 0
    }

    /// What all users keep.
    private(set) var all = Sum()

    private let later: (Duration, @escaping () -> Void) -> Void
    private var kept: [Kept] = []
    private var users: [UInt32: Sum] = [:]
    /// Where the next look begins.
    private var next = 0
    private var mostBeforeLook = KeptPipes.fewPipes
    private var isTimed = false
    private var pause = KeptPipes.firstPause

    /// - Parameter later: does something after a time, on the loop's thread.
    init(later: @escaping (Duration, @escaping () -> Void) -> Void) {
        self.later = later
    }

    /// What one user keeps, as far as was seen at the last look.
    func sum(of userID: UInt32) -> Sum { users[userID] ?? Sum() }

    /// Looks after the pipe of a job that ends, from its end on; makes it no larger than it has to be.
    ///
    /// - Parameter pipe: its write end, which is open until this returns and closed soon after.
    func keep(_ pipe: borrowing OwnedDescriptor, of userID: UInt32) {
        // Without a descriptor for it, the pipe is not counted: the service has other needs for its last ones.
        guard sum(of: userID).pipes < Self.mostOfUser, let bytes = try? pipe.pipeCapacity(),
            let place = try? pipe.pipePlace()
        else { return }
        kept.append(Kept(userID: userID, place: place, bytes: bytes))
        change(of: userID, pipes: 1, bytes: bytes)
        if kept.count >= mostBeforeLook {
            look()
            mostBeforeLook = max(Self.fewPipes, 2 * kept.count)
        }
        pause = Self.firstPause
        watch()
    }

    /// Finds out which pipes there still are, and how large they are.
    ///
    /// - Parameter most: pipes that are looked at, further ones the next time.
    func look(atMost most: Int = .max) {
        next = next < kept.count ? next : 0
        for _ in 0..<min(most, kept.count) {
            if next >= kept.count { next = 0 }
            let one = kept[next]
            guard let bytes = Self.size(of: one) else {
                change(of: one.userID, pipes: -1, bytes: -one.bytes)
                kept.swapAt(next, kept.count - 1)
                kept.removeLast()
                continue
            }
            change(of: one.userID, pipes: 0, bytes: bytes - one.bytes)
            one.bytes = bytes
            next += 1
        }
    }

    private func change(of userID: UInt32, pipes: Int, bytes: Int) {
        all.pipes += pipes
        all.bytes += bytes
        var sum = sum(of: userID)
        sum.pipes += pipes
        sum.bytes += bytes
        users[userID] = sum.pipes == 0 ? nil : sum
    }

    private func watch() {
        guard !isTimed, !kept.isEmpty else { return }
        isTimed = true
        later(.seconds(pause)) { [weak self] in
            guard let self else { return }
            isTimed = false
            look()
            pause = min(Self.longestPause, 2 * pause)
            watch()
        }
    }

    /// The capacity of a pipe, shrunk to what it holds; nil for one that no process holds any more.
    private static func size(of one: Kept) -> Int? {
        // With no descriptor or memory to be had nothing is known, and nothing has changed.
        guard let pipe = try? one.place.reopenedForReading(), let unread = try? pipe.readableBytes(),
            let capacity = try? pipe.pipeCapacity()
        else { return one.bytes }
        if unread > 0 {
            guard unread != one.unread || capacity > one.bytes else { return capacity }
            one.unread = unread
            return shrink(pipe, of: capacity, to: unread)
        }
        // Rounded up to a page.
        guard let page = try? pipe.setPipeCapacity(1) else { return capacity }
        if capacity == page { return page }
        return isMarked(one, page, consume pipe) ? page : nil
    }

    private static func isMarked(_ one: Kept, _ page: Int, _ pipe: consuming OwnedDescriptor) -> Bool {
        // If this was the only end, the pipe goes with it.
        _ = consume pipe
        guard let again = try? one.place.reopenedForReading() else { return true }
        return (try? again.pipeCapacity()) == page
    }

    /// How many pages hold the bytes cannot be told: pages may be half empty. So larger and larger sizes are tried.
    private static func shrink(
        _ pipe: borrowing OwnedDescriptor, of capacity: Int, to unread: Int
    ) -> Int {
        var wanted = unread
        while wanted < capacity {
            if let now = try? pipe.setPipeCapacity(wanted) { return now }
            wanted *= 2
        }
        return capacity
    }
}
