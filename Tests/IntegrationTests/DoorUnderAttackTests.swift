import CTestKit
import Glibc
import SluiceInterface
import SystemPackage
import TestKit
import Testing
import Unix
import Varlink

extension Integration.Door {
    /// One user attacks the service; other users must not notice.
    @Suite("The door under attack")
    struct UnderAttack {
        private static let attacker: UInt32 = 4001
        private static let bystander: UInt32 = 4002

        /// A connection of the attacker, on which it can send any bytes.
        private final class Socket {
            let descriptor: OwnedDescriptor

            init(_ service: TestService) throws {
                descriptor = OwnedDescriptor(
                    adopting: try valueOrErrno(ctestkit_connect_unix_as(service.socket, UnderAttack.attacker))
                )
            }

            /// Sends as much as the kernel takes at once, with one descriptor on the first byte.
            func send(_ text: String) {
                let (bytes, number) = (Array(text.utf8), descriptor.rawValue)
                _ = Glibc.send(number, bytes, bytes.count, CInt(MSG_NOSIGNAL) | CInt(MSG_DONTWAIT))
            }

            /// Sends a short text and a descriptor. After that no process but the service owns the descriptor.
            func send(_ text: String, passing passed: consuming OwnedDescriptor) throws {
                let (bytes, number) = (Array(text.utf8), passed.rawValue)
                _ = try bytes.withUnsafeBytes { bytes throws(Errno) in
                    try SocketMessage.send(bytes, descriptors: [number], to: descriptor, dontWait: true)
                }
                // The descriptor is in flight, so this close(2) is not the last one, and does not wait.
                _ = consume passed
            }

            /// The next message, without its NUL; nil at the end.
            func receive() throws -> String? {
                var message: [UInt8] = []
                let deadline = Deadline()
                while true {
                    guard waitFor(CInt(POLLIN), on: descriptor.rawValue, until: deadline) else {
                        throw TestFailure("the service says nothing for \(deadline.waited)")
                    }
                    var byte: UInt8 = 0
                    guard recv(descriptor.rawValue, &byte, 1, 0) == 1 else { return nil }
                    if byte == 0 { return String(decoding: message, as: UTF8.self) }
                    message.append(byte)
                }
            }
        }

        /// Checks that the bystander's question is answered. The defects that these tests look for take 10 s or more,
        /// or have no end.
        private func isServed(_ service: TestService, _ what: String) throws {
            let time = try elapsed {
                _ = try OtherUser(Self.bystander, service).call("Status", as: Ingest.StatusReply.self)
            }
            #expect(time < .seconds(5), "\(what): another user waited \(time)")
        }

        private func call(_ method: String, _ parameters: String) -> String {
            #"{"method":"io.sluice.Ingest.\#(method)","parameters":\#(parameters)}"# + "\0"
        }

        /// A TCP connection with bytes that its peer does not take. Its last close(2) waits for a minute.
        private func lingering(_ listener: borrowing SilentPeer) throws -> OwnedDescriptor {
            let number = try valueOrErrno(socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0))
            let descriptor = OwnedDescriptor(adopting: number)
            try listener.connect(number)
            var linger = linger(l_onoff: 1, l_linger: 60)
            let size = socklen_t(MemoryLayout.size(ofValue: linger))
            _ = try valueOrErrno(setsockopt(number, SOL_SOCKET, SO_LINGER, &linger, size))
            let bytes = [UInt8](repeating: 1, count: 1 << 20)
            while send(number, bytes, bytes.count, CInt(MSG_DONTWAIT)) > 0 {}
            return descriptor
        }

        /// A peer whose backlog accepts connections, and which reads nothing.
        private struct SilentPeer: ~Copyable {
            let listener: OwnedDescriptor

            static func listening() throws -> SilentPeer {
                let listener = OwnedDescriptor(
                    adopting: try valueOrErrno(socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)))
                var address = loopback(port: 0)
                _ = try withUnsafePointer(to: &address) {
                    try $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                        try valueOrErrno(
                            bind(listener.rawValue, $0, socklen_t(MemoryLayout<sockaddr_in>.size)))
                    }
                }
                _ = try valueOrErrno(listen(listener.rawValue, 64))
                return SilentPeer(listener: listener)
            }

            func connect(_ number: CInt) throws {
                var address = sockaddr_in()
                var length = socklen_t(MemoryLayout<sockaddr_in>.size)
                try withUnsafeMutablePointer(to: &address) {
                    try $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                        _ = try valueOrErrno(getsockname(listener.rawValue, $0, &length))
                        _ = try valueOrErrno(Glibc.connect(number, $0, length))
                    }
                }
            }

            private static func loopback(port: UInt16) -> sockaddr_in {
                var address = sockaddr_in()
                address.sin_family = sa_family_t(AF_INET)
                address.sin_addr.s_addr = inet_addr("127.0.0.1")
                address.sin_port = port.bigEndian
                return address
            }
        }

        private func openDescriptors(_ service: TestService) throws -> Int {
            let directory = try #require(opendir("/proc/\(service.processID)/fd"))
            defer { closedir(directory) }
            var count = 0
            while readdir(directory) != nil { count += 1 }
            return count
        }

        @Test("descriptors whose close(2) blocks delay no other user, received or not, and are closed")
        func blockingDescriptorsDelayNoUser() throws {
            let service = try TestService("limits.connections_per_user = 20")
            let peer = try SilentPeer.listening()
            try isServed(service, "before")
            let before = try openDescriptors(service)
            do {
                // With a call; after calls that are not answered; on connections that are refused.
                let status = call("Status", "{}")
                let first = try Socket(service)
                try first.send(status, passing: lingering(peer))
                #expect(try first.receive()?.contains("InvalidParameter") == true)
                try isServed(service, "with a call")
                let watching = try Socket(service)
                watching.send(call("Watch", "{}").replacing("}}", with: "},\"more\":true}"))
                try watching.send(status, passing: lingering(peer))
                try isServed(service, "behind a Watch")
            }
            try isServed(service, "closed")
            do {
                var many: [CInt] = []
                defer { for number in many { close(number) } }
                for _ in 0..<30 {
                    let socket = try Socket(service)
                    try socket.send("{", passing: lingering(peer))
                    many.append(try socket.descriptor.duplicate().release())
                }
                try isServed(service, "on many connections")
            }
            try isServed(service, "all closed")
            try eventually("the service has let go of all of it") {
                try openDescriptors(service) <= before + 1
            }
            #expect(service.program.isRunning)
        }

        @Test("texts that take long to compare are refused anywhere in a call")
        func refusesTextsSlowToCompare() throws {
            let service = try TestService()
            let marks = String(repeating: "\u{301}\u{323}", count: 60_000)
            let escaped = String(repeating: #"\u0301\u0323"#, count: 20_000)
            let safe = String(repeating: "é\u{301}", count: 50_000)
            let attacks = [
                call("Show", #"{"id":"a\#(marks)"}"#), call("Show", #"{"id":"a\#(escaped)"}"#),
                call("Show", #"{"id":"\#(safe)"}"#), call("Show", #"{"a\#(marks)":1}"#),
                call("Show", #"{"a\#(escaped)":1}"#), call("Sh\(marks)", "{}"), call("Sh\(safe)", "{}"),
                call("Fetch", #"{"url":"http://a\#(marks)/"}"#), call("Fetch", #"{"url":"\#(safe)"}"#),
                call("Fetch", #"{"url":"http://h/","digest":"sha256:\#(safe)"}"#),
                call("Fetch", #"{"url":"http://h/","headers":[{"name":"\#(safe)","value":""}]}"#),
                call("Fetch", #"{"url":"http://h/","ifNoneMatch":"\#(safe)"}"#),
                call("List", #"{"states":["\#(safe)"]}"#),
                #"{"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":"\#(safe)"}}"#
                    + "\0",
                call(
                    "Fetch", #"{"url":"http://h/","headers":[\#(String(repeating: "[],", count: 80_000))[]]}"#
                ),
                call(
                    "Fetch",
                    #"{"url":"http://h/","connectTimeoutSeconds":1\#(String(repeating: "0", count: 250_000))}"#
                ),
            ]
            for attack in attacks {
                let start = String(attack.unicodeScalars.prefix(60))
                let connection = try Socket(service)
                try feed(attack, to: connection)
                let time = try elapsed {
                    let answer = try connection.receive()
                    #expect(
                        answer?.contains("error") == true, "\(start): \(answer?.prefix(200) ?? "nothing")")
                }
                #expect(time < .seconds(5), "\(start): \(time)")
                try isServed(service, start)
            }
            #expect(service.program.isRunning)
        }

        /// Sends the whole text.
        private func feed(_ text: String, to connection: Socket) throws {
            var bytes = Array(text.utf8)[...]
            let deadline = Deadline()
            while !bytes.isEmpty {
                guard waitFor(CInt(POLLOUT), on: connection.descriptor.rawValue, until: deadline) else {
                    throw TestFailure("the service takes nothing for \(deadline.waited)")
                }
                let sent = bytes.withUnsafeBytes {
                    Glibc.send(
                        connection.descriptor.rawValue, $0.baseAddress, $0.count,
                        CInt(MSG_NOSIGNAL) | CInt(MSG_DONTWAIT))
                }
                if sent < 0, errno == EAGAIN || errno == EINTR { continue }
                // The service may have closed the connection.
                guard sent > 0 else { return }
                bytes = bytes.dropFirst(sent)
            }
        }

        @Test("half a call on each of 1,000 connections costs bounded memory, which is given back")
        func halfCallsCostBoundedMemory() throws {
            let service = try TestService()
            try isServed(service, "before")
            let before = try MemoryProbe(processID: service.processID).privateDirty
            let half = #"{"method":""# + String(repeating: "x", count: 250_000)
            var sockets: [CInt] = []
            defer { for number in sockets { close(number) } }
            for _ in 0..<1000 {
                let socket = try Socket(service)
                socket.send(half)
                sockets.append(try socket.descriptor.duplicate().release())
            }
            // The service has taken the bytes for which it has room.
            try isServed(service, "with half calls")
            // A small call of the same user is still answered.
            _ = try OtherUser(Self.attacker, service).call("Status", as: Ingest.StatusReply.self)
            let growth = try MemoryProbe(processID: service.processID).privateDirty - before
            print("figure: 1,000 half calls of 250 KB: the daemon grew by \(growth >> 10) KiB")
            #expect(growth < 32 << 20)
            for number in sockets { close(number) }
            sockets = []
            try eventually("the memory is given back") {
                try MemoryProbe(processID: service.processID).privateDirty - before < 10 << 20
            }
            try isServed(service, "after")
        }

        @Test("one user's List calls on 500 connections delay another user's call by only one of them")
        func manyListsDelayOthersLittle() throws {
            let origin = try BadOrigin { try $0.respond("404 Not Found", body: []) }
            let service = try TestService("limits.jobs_per_user = 400")
            let attacker = OtherUser(Self.attacker, service)
            let client = try attacker.client()
            for _ in 0..<300 {
                let reply = try client.callWithDescriptors(
                    "\(Ingest.interfaceName).Fetch", Ingest.FetchParameters(url: origin.url()),
                    deadline: Deadline.ofCall)
                _ = reply.takeDescriptor(0)
            }
            try eventually("they have ended") { try service.status().jobs.failed == 300 }
            try judge("an answer beside 500 lists", takesLessThan: .seconds(1)) {
                var sockets: [CInt] = []
                defer { for number in sockets { close(number) } }
                for _ in 0..<500 {
                    let socket = try Socket(service)
                    socket.send(call("List", #"{"limit":500}"#))
                    sockets.append(try socket.descriptor.duplicate().release())
                }
                return try elapsed {
                    _ = try OtherUser(Self.bystander, service).call("Status", as: Ingest.StatusReply.self)
                }
            }
        }

        @Test("root always gets a connection, a job and a lane")
        func rootAlwaysGetsIn() throws {
            let origin = try BadOrigin { connection in
                if connection.request.path == "/root" {
                    try connection.respond(pattern: Pattern(), count: 100)
                } else {
                    connection.waitForClose()
                }
            }
            let service = try TestService(
                """
                limits.connections = 20
                limits.connections_per_user = 20
                limits.jobs = 2
                limits.jobs_per_user = 2
                lanes.minimum = 1
                lanes.maximum = 1
                """)
            let attacker = OtherUser(Self.attacker, service)
            let jobs = try (0..<2).map { _ in try attacker.fetch(origin.url(), expecting: Pattern()) }
            var sockets: [CInt] = []
            defer { for number in sockets { close(number) } }
            for _ in 0..<25 {
                let socket = try Socket(service)
                sockets.append(try socket.descriptor.duplicate().release())
            }
            #expect(throws: VarlinkClientError.self) {
                try attacker.call("Status", as: Ingest.StatusReply.self)
            }
            // Root lists, fetches and cancels.
            #expect(try service.call("List", as: Ingest.ListReply.self).jobs.count == 2)
            try service.fetch(origin.url("/root"), expecting: Pattern()).finishComplete(100)
            for job in jobs { #expect(try service.cancel(job.id).state == .cancelled) }
        }
    }
}
