import EventLoop
import Foundation
import Glibc
import TestKit
import Unix
import Varlink

/// A service with a loop and a thread of its own, on a socket in a directory of its own. `stop` removes all of it.
final class TestServer: @unchecked Sendable {
    // @unchecked: only the loop's thread uses `service`; everything else is set before that thread starts.

    let path: String
    let loop: EventLoop
    let dropped = Mailbox<VarlinkDropReason>()
    private let directory: String
    private var service: VarlinkService?
    private let ended = Mailbox<Void>()

    /// Starts a service. `configure` runs on the service's thread.
    init(
        limits: VarlinkLimits = VarlinkLimits(),
        _ configure: @escaping @Sendable (VarlinkService) throws -> Void = { try Echo.configure($0) }
    ) throws {
        directory = try temporaryDirectory()
        path = directory + "/socket"
        loop = try EventLoop()
        let started = Mailbox<Result<Void, any Error>>()
        let thread = Thread { [self] in
            started.put(Result { try self.start(limits, configure) })
            loop.run()
            service = nil
            ended.put(())
        }
        // The smallest stack that a program's thread may have.
        thread.stackSize = 512 * 1024
        thread.start()
        try started.take().get()
    }

    private func start(_ limits: VarlinkLimits, _ configure: (VarlinkService) throws -> Void) throws {
        let info = ServiceInfo(vendor: "Vendor", product: "Product", version: "1", url: "https://example.org")
        let service = VarlinkService(loop: loop, info: info, limits: limits)
        service.onClientDropped = { [dropped] _, reason in dropped.put(reason) }
        try configure(service)
        try service.listen(on: UnixSocket.listen(path: path, mode: 0o600))
        self.service = service
    }

    func connect() throws -> VarlinkClient {
        try VarlinkClient(connectedTo: path)
    }

    /// Runs `body` on the service's thread and waits for its result.
    func onLoop<Value: Sendable>(_ body: @escaping @Sendable (VarlinkService) throws -> Value) throws -> Value
    {
        let result = Mailbox<Result<Value, any Error>>()
        loop.execute { [self] in
            guard let service else { return }
            result.put(Result { try body(service) })
        }
        return try result.take().get()
    }

    /// Waits until this many connections are left.
    func waitForConnections(_ count: Int) throws {
        try eventually("\(count) connections are left", every: .milliseconds(1)) {
            try onLoop { $0.connectionCount } == count
        }
    }

    func stop() {
        loop.execute { [self] in
            if let service { service.close(within: .zero) { self.loop.stop() } } else { loop.stop() }
        }
        _ = try? ended.take()
        removeDirectory(directory)
    }
}

extension VarlinkLimits {
    /// Limits for clients that read late, and very late on a busy machine.
    static var patient: VarlinkLimits {
        var limits = VarlinkLimits()
        limits.flushTimeout = .seconds(600)
        return limits
    }
}

/// A new directory.
func temporaryDirectory() throws -> String {
    var template = Array("/tmp/varlink-test-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw POSIXError(.EIO) }
    return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

func removeDirectory(_ path: String) {
    try? FileManager.default.removeItem(atPath: path)
}
