internal import SystemPackage
internal import Unix

/// Pipes of ended jobs that their consumers may still hold, with the size of their buffers and their users. Belongs to
/// the loop's thread.
///
/// The kernel charges the buffers of a pipe to the service as long as a consumer has the read end. After the job's end
/// the service must hold no end of the pipe: an open write end would keep the end of file from the consumer. The
/// service keeps the pipe's *place* instead (a descriptor opened with O_PATH, open(2)), which is neither reader nor
/// writer. If a consumer still holds the pipe, opening its place opens the same pipe. If no process holds it any more,
/// opening its place makes a new pipe with the kernel's default capacity. To tell the two cases apart, the service
/// shrinks an empty pipe to one page, a capacity that a new pipe never has.
///
/// A look at a pipe costs four to nine system calls. Pipes are looked at when a client asks for the sum, when the sum
/// decides something, when many jobs have ended, and on a timer that backs off and ends with the last pipe.
final class KeptPipes {
    /// The maximum number of one user's pipes that are kept track of. Each costs a descriptor.
    static let mostOfUser = 1024
    /// The smallest number of pipes at which the end of a job makes the service look at them.
    private static let fewPipes = 64
    /// The pauses between looks on the timer, in seconds.
    private static let firstPause = 1.0
    private static let longestPause = 1024.0

    private final class Kept {
        let userID: UInt32
        let place: OwnedDescriptor
        var bytes: Int
        /// Bytes that were unread when the pipe was last shrunk.
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

    /// - Parameter later: runs a closure on the loop's thread after a delay.
    init(later: @escaping (Duration, @escaping () -> Void) -> Void) {
        self.later = later
    }

    /// What one user keeps, as of the last look.
    func sum(of userID: UInt32) -> Sum { users[userID] ?? Sum() }

    /// Keeps track of the pipe of a job from the job's end on. Later looks shrink the pipe to the size that it needs.
    ///
    /// - Parameter pipe: the pipe's write end. It must stay open until this returns, and must be closed soon after.
    func keep(_ pipe: borrowing OwnedDescriptor, of userID: UInt32) {
        // If no descriptor is left for its place, the pipe is not counted.
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

    /// Finds out which pipes still exist, and how large they are.
    ///
    /// - Parameter most: the maximum number of pipes to look at. The next call goes on with the following ones.
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

    /// Shrinks a pipe to what it holds and returns its capacity; nil if no process holds the pipe any more.
    private static func size(of one: Kept) -> Int? {
        // If the kernel has no descriptor or memory left, the old size stands.
        guard let pipe = try? one.place.reopenedForReading(), let unread = try? pipe.readableBytes(),
            let capacity = try? pipe.pipeCapacity()
        else { return one.bytes }
        if unread > 0 {
            guard unread != one.unread || capacity > one.bytes else { return capacity }
            one.unread = unread
            return shrink(pipe, of: capacity, to: unread)
        }
        // The kernel rounds 1 up to a page (fcntl(2), F_SETPIPE_SZ).
        guard let page = try? pipe.setPipeCapacity(1) else { return capacity }
        if capacity == page { return page }
        return isMarked(one, page, consume pipe) ? page : nil
    }

    private static func isMarked(_ one: Kept, _ page: Int, _ pipe: consuming OwnedDescriptor) -> Bool {
        // If this was the only open end, closing it ends the pipe, and the next open makes a new one.
        _ = consume pipe
        guard let again = try? one.place.reopenedForReading() else { return true }
        return (try? again.pipeCapacity()) == page
    }

    /// Tries larger and larger sizes, because the number of pages that hold the bytes is unknown: pages may be partly
    /// empty.
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
