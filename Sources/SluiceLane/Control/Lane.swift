internal import CUnix
internal import EventLoop
internal import Glibc
internal import LaneProtocol
internal import SluiceCore
internal import SystemPackage
public import Unix

/// A lane: a process with one URLSession that fetches one body at a time, for the daemon at the other end of its
/// control socket.
///
/// ## Concurrency model
/// Everything here is on the loop's thread; the main thread only waits. Callbacks of URLSession come on the session's
/// thread. `Transfer` and `Pump` handle them there, and send events to the loop's thread through `EventLoop.execute`.
public enum Lane {
    /// Bytes of memory that a lane may have beyond its own and the gate's. This bounds what a server can make
    /// Foundation buffer outside of the gate, such as the body of a redirect.
    private static let memoryReserve: UInt64 = 512 << 20

    /// Maximum number of descriptors of a lane: about ten of its own, the job's, and a few connections.
    private static let descriptors: CUnsignedInt = 256

    /// Serves the daemon until the daemon closes the socket. Does not return.
    ///
    /// - Parameter control: a connected seqpacket socket.
    public static func run(control: consuming OwnedDescriptor) -> Never {
        signal(SIGPIPE, SIG_IGN)
        // By this name the daemon knows its lanes, whatever the program's file is called (`LostLanes`).
        cunix_set_thread_name("sluice-lane")
        // Different Dispatch threads allocate and free chunks. With a malloc arena for each thread, a stalled body
        // would take many times its size.
        cunix_use_one_malloc_arena()
        // Each piece that a consumer takes wakes its lane. If the lane ran at once, it would take the processor from
        // that consumer for one piece; a little later there are more pieces to move at a time. With 64 concurrent
        // bodies this saves a ninth.
        cunix_schedule_as_batch()
        _ = cunix_set_limit(CInt(CUNIX_RLIMIT_DATA), (1 << 30) + memoryReserve)
        // A server's response can crash this process (docs/foundation.md), and a future defect might let it take the
        // process over. The lane therefore gives up everything that fetching does not need: access to the daemon's
        // socket, to most files, and to most system calls. If the kernel supports only a part of this, that part is
        // applied, and the daemon is told.
        let confinement = LaneConfinement(cunix_confine_lane(descriptors, CInt(CUNIX_ANY_LANDLOCK)))
        // Not on this thread: where the process was forked by a nursery, Swift's Mutex and Dispatch remember the number
        // that this thread had in the nursery, by which the kernel would look for the owner of a lock.
        let socket = control.release()
        do {
            try DetachedThread.start { serve(OwnedDescriptor(adopting: socket), confinement) }
        } catch {
            fail(error)
        }
        while true { _ = poll(nil, 0, -1) }
    }

    private static func serve(_ control: consuming OwnedDescriptor, _ confinement: LaneConfinement) -> Never {
        // In top(1) with threads, and for tests.
        cunix_set_thread_name("loop")
        do {
            let loop = try EventLoop()
            let lane = try LaneController(loop: loop, channel: ControlChannel(socket: control))
            try lane.start(confinement)
            loop.run()
        } catch {
            fail(error)
        }
        exit(0)
    }

    private static func fail(_ error: any Error) -> Never {
        let line = "sluice-lane: cannot start: \(error)\n"
        _ = write(2, line, line.utf8.count)
        let isShortage = (error as? Errno).map { LaneExit.shortages.contains($0) } ?? false
        exit(isShortage ? LaneExit.shortage : 1)
    }
}

extension LaneConfinement {
    /// Converts the result of `cunix_confine_lane`.
    fileprivate init(_ bits: CInt) {
        self = []
        if bits & CInt(CUNIX_CONFINED_FILES) != 0 { insert(.files) }
        if bits & CInt(CUNIX_CONFINED_CALLS) != 0 { insert(.calls) }
    }
}
