internal import EventLoop
internal import Glibc
internal import SystemPackage
internal import Unix

/// The parked jobs, whose consumers do not read. Each keeps its pipe and its ledger, without a lane and without a
/// connection, until its pipe has been drained to a quarter. Belongs to the loop's thread.
///
/// The kernel has no event for that. It reports when the first page of a full pipe becomes free (EPOLLOUT), and nothing
/// after that. From then on the daemon looks at the pipe on a timer, less and less often while the consumer reads
/// nothing. While the pipe stays full, there is no timer.
final class ParkingLot {
    /// A pipe counts as drained when the bytes in it are at most its capacity divided by this.
    private static let drainedShare = 4
    /// The delay of the first look after the first page became free, and the longest time between two looks.
    private static let shortestPause = Duration.milliseconds(10)
    private static let longestPause = Duration.seconds(2)

    private final class Place {
        let whenDrained: () -> Void
        var timer: Timer?
        var pause = ParkingLot.shortestPause
        var bytesAtLastLook = Int.max

        init(whenDrained: @escaping () -> Void) {
            self.whenDrained = whenDrained
        }
    }

    private let loop: EventLoop
    private var places: [ObjectIdentifier: Place] = [:]

    init(loop: EventLoop) {
        self.loop = loop
    }

    /// Parks a job whose sink is watched.
    ///
    /// - Parameter whenDrained: called once, on a later turn of the loop.
    func park(_ job: JobRecord, whenDrained: @escaping () -> Void) {
        places[ObjectIdentifier(job)] = Place(whenDrained: whenDrained)
        job.sink?.watch?.readiness = .writable
    }

    /// The job has ended.
    func forget(_ job: JobRecord) {
        places.removeValue(forKey: ObjectIdentifier(job))?.timer?.cancel()
    }

    /// The job's pipe can be written to.
    func hasRoom(_ job: JobRecord) {
        guard let place = places[ObjectIdentifier(job)] else { return }
        job.sink?.watch?.readiness = []
        place.pause = Self.shortestPause
        place.bytesAtLastLook = .max
        look(job, place)
    }

    private func look(_ job: JobRecord, _ place: Place) {
        // The kernel reports a connection as writable only once a quarter of its buffer is in use: it needs no look.
        guard job.sink?.isPipe ?? false, let state = PipeState(of: job),
            state.waiting > state.capacity / Self.drainedShare
        else {
            places[ObjectIdentifier(job)] = nil
            return place.whenDrained()
        }
        guard state.hasRoom else {
            job.sink?.watch?.readiness = .writable
            return
        }
        place.pause = Self.pause(after: place.pause, from: place.bytesAtLastLook, to: state)
        place.bytesAtLastLook = state.waiting
        place.timer = loop.after(place.pause) { [weak self, weak job, weak place] in
            guard let self, let job, let place else { return }
            look(job, place)
        }
    }

    /// The time until the next look: what the consumer needs at its pace since the last look, or twice the last pause
    /// if it has read nothing.
    private static func pause(after pause: Duration, from before: Int, to state: PipeState) -> Duration {
        guard before != .max else { return shortestPause }
        guard state.waiting < before else { return min(longestPause, pause * 2) }
        let left = state.waiting - state.capacity / drainedShare
        return min(longestPause, max(shortestPause, pause * Double(left) / Double(before - state.waiting)))
    }

    private struct PipeState {
        var capacity: Int
        var waiting: Int
        var hasRoom: Bool

        /// Nil if the kernel cannot be asked about the pipe.
        init?(of job: JobRecord) {
            guard let state = job.sink?.withDescriptor({ PipeState($0) }) ?? nil else { return nil }
            self = state
        }

        private init?(_ sink: borrowing OwnedDescriptor) {
            guard let capacity = try? sink.pipeCapacity(), let waiting = try? sink.readableBytes() else {
                return nil
            }
            self.capacity = capacity
            self.waiting = waiting
            var entry = pollfd(fd: sink.rawValue, events: Int16(POLLOUT), revents: 0)
            hasRoom = poll(&entry, 1, 0) == 1 && entry.revents & Int16(POLLOUT) != 0
        }
    }
}
