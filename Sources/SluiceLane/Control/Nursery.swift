internal import CCurlShim
internal import CUnix
internal import EventLoop
internal import Foundation
internal import FoundationNetworking
internal import Glibc
internal import LaneProtocol
internal import SluiceCore
internal import SluiceInterface
internal import SystemPackage
public import Unix

/// A process that has loaded and warmed all that a lane needs, and forks lanes on demand. A lane thus starts in a few
/// milliseconds, and shares most of its memory with the others.
///
/// It has one thread, so that a fork is a complete copy. It has no socket to an origin, no job and no user's data, so
/// that its children inherit none. It reads nothing but the daemon's requests. Each lane applies its own confinement.
///
/// The lanes are the daemon's children (`cunix_fork_orphan`): the daemon reaps them, and they outlive the nursery.
public enum Nursery {
    /// Serves the daemon until the daemon closes the socket. Does not return.
    ///
    /// - Parameter control: a connected seqpacket socket, descriptor 3.
    public static func run(control: consuming OwnedDescriptor) -> Never {
        signal(SIGPIPE, SIG_IGN)
        cunix_use_one_malloc_arena()
        cunix_set_thread_name("sluice-nursery")
        warm()
        // Its lanes inherit this. They could not do it themselves, because they inherit that they are hidden, too.
        cunix_be_first_to_go()
        // Other processes of the user must not see the layout of the lanes.
        cunix_hide_from_user()
        send(.ready, to: control)
        while true {
            guard var descriptors = receive(from: control) else { _exit(0) }
            guard let lane = descriptors.take(0), let words = descriptors.take(1) else { _exit(1) }
            var ends = Ends(control: lane.rawValue, words: words.rawValue)
            let orphan = withUnsafeMutablePointer(to: &ends) { ends in
                cunix_fork_orphan("sluice-lane", { context in context.map(Nursery.becomeLane) }, ends)
            }
            guard orphan.pid > 0 else {
                send(.failed(errno), to: control)
                continue
            }
            let status = OwnedDescriptor(adopting: orphan.status)
            let go = OwnedDescriptor(adopting: orphan.go)
            // The daemon must know the process before it runs, in order to reap it.
            send(.started(orphan.pid), status.rawValue < 0 ? [] : [status.rawValue], to: control)
            _ = write(go.rawValue, "g", 1)
        }
    }

    private struct Ends {
        var control: CInt
        var words: CInt
    }

    /// The child goes on as a lane.
    private static func becomeLane(_ context: UnsafeMutableRawPointer) {
        let ends = context.load(as: Ends.self)
        cunix_become_child(ends.words, ends.control)
        forgetArguments()
        Lane.run(control: OwnedDescriptor(adopting: 3))
    }

    /// Tells the daemon; ends the process if the daemon has gone.
    private static func send(
        _ reply: NurseryReply, _ descriptors: [CInt] = [], to control: borrowing OwnedDescriptor
    ) {
        if (try? SocketMessage.send(reply.packet, descriptors: descriptors, to: control)) == nil { _exit(0) }
    }

    /// Makes the process look like any other lane in ps(1).
    private static func forgetArguments() {
        if CommandLine.argc > 1, let option = CommandLine.unsafeArgv[1] { memset(option, 0, strlen(option)) }
    }

    /// The descriptors of the next request; nil if the daemon has gone.
    private static func receive(from control: borrowing OwnedDescriptor) -> ReceivedDescriptors? {
        var byte: UInt8 = 0
        return withUnsafeMutableBytes(of: &byte) { buffer in
            while true {
                do throws(Errno) {
                    let message = try SocketMessage.receive(into: buffer, from: control)
                    guard message.count == NurseryRequest.packet.count, !message.isTruncated else {
                        return nil
                    }
                    return message.descriptors
                } catch .wouldBlock {
                    var entry = pollfd(fd: control.rawValue, events: Int16(POLLIN), revents: 0)
                    _ = poll(&entry, 1, -1)
                } catch {
                    return nil
                }
            }
        }
    }

    /// Touches what the first transfer of a lane uses, as far as that starts no thread.
    private static func warm() {
        ccurlshim_warm()
        LaneSession.warm()
        // An order, from its packet to its request: Swift looks up types and conformances once, which takes
        // milliseconds.
        var parameters = Ingest.FetchParameters(url: "http://127.0.0.1/")
        parameters.headers = [HeaderField(name: "A", value: "b")]
        guard let job = try? JobRequest(parameters, settings: Settings()) else { return }
        let packet = LaneCommand.order(
            LaneOrder(
                serial: 1, request: job, egress: Settings().egress.rules(names: [], memberships: []).compact)
        ).packet
        guard case .order(let order)? = LaneCommand(packet: packet), let requests = RequestMaker(order) else {
            return
        }
        _ = requests.request(to: requests.url, credentials: requests.credentials)
        if let loop = try? EventLoop(), let pipe = try? Unix.Pipe() {
            let watch = try? loop.watch(pipe.readEnd, for: .readable) { _ in }
            loop.execute {}
            loop.after(.zero) { loop.stop() }
            loop.run()
            watch?.cancel()
        }
        // A task of a session has both.
        _ = Progress.current()
        _ = Progress(totalUnitCount: -1)
        guard let url = URL(string: requests.url.text) else { return }
        _ = HTTPURLResponse(
            url: url, statusCode: 200, httpVersion: "HTTP/1.1", headerFields: ["Content-Length": "1"])
    }
}
