internal import CUnix
internal import EventLoop
internal import Glibc
internal import SluiceCore
internal import SystemPackage
public import UnixSockets

/// A lane: a process with one URLSession that fetches one body at a time, for the daemon at the other end of its
/// control socket.
///
/// ## Concurrency model
/// Everything here is on the loop's thread, which is the main thread. Callbacks of URLSession come on the session's
/// thread, are dealt with in `Transfer` and `Pump`, and arrive here as events through `EventLoop.execute`.
public enum Lane {
    /// Bytes of memory that a lane may have beyond its own and the gate's: what a server can make Foundation buffer
    /// outside of the gate, such as the body of a redirect, ends here.
    private static let memoryReserve: UInt64 = 512 << 20

    /// Descriptors that a lane may have: some ten of its own, the job's, and a few connections.
    private static let descriptors: CUnsignedInt = 256

    /// Serves the daemon until it is gone. Does not return.
    ///
    /// - Parameter control: a connected seqpacket socket.
    public static func run(control: consuming OwnedDescriptor) -> Never {
        signal(SIGPIPE, SIG_IGN)
        // Chunks are made by whichever thread Dispatch lends to the session and freed by others. With an arena for each,
        // a stalled body would be kept many times over.
        cunix_use_one_malloc_arena()
        // Each piece that a consumer takes wakes its lane. If the lane ran at once it would take the processor from that
        // consumer, for one piece; a little later there is more to do at a time. With 64 bodies at once that is a ninth.
        cunix_schedule_as_batch()
        _ = cunix_set_limit(CInt(CUNIX_RLIMIT_DATA), (1 << 30) + memoryReserve)
        // What a server sends can stop the process (F6), and one day perhaps take it over. So it leaves behind all that
        // fetching does not need, the daemon's socket and files first. A kernel that lacks a part of it gives the rest,
        // and the daemon is told.
        let confinement = LaneConfinement(cunix_confine_lane(descriptors, CInt(CUNIX_ANY_LANDLOCK)))
        do {
            let loop = try EventLoop()
            let lane = try LaneController(loop: loop, channel: ControlChannel(socket: control))
            try lane.start(confinement)
            loop.run()
        } catch {
            let line = "sluice-lane: cannot start: \(error)\n"
            _ = write(2, line, line.utf8.count)
            exit(1)
        }
        exit(0)
    }
}

extension LaneConfinement {
    /// From what `cunix_confine_lane` returns.
    fileprivate init(_ bits: CInt) {
        self = []
        if bits & CInt(CUNIX_CONFINED_FILES) != 0 { insert(.files) }
        if bits & CInt(CUNIX_CONFINED_CALLS) != 0 { insert(.calls) }
    }
}
