import CUnix
import Foundation
import SystemPackage
import TestKit
import Unix

/// The program under Tests/SystemdProbe, run as a child with an environment of its own.
enum Probe {
    /// The program is beside the test bundle, where SwiftPM puts every executable.
    static let path: String = {
        let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return URL(filePath: own).deletingLastPathComponent().appending(path: "systemd-probe").path()
    }()

    struct Result {
        var output: String
        var errors: String
        var exit: ProcessExit?

        var lines: [String] { output.split(separator: "\n").map(String.init) }
    }

    /// Runs the probe to its end, with `passed` as descriptor 3, and `second` as 4 where there is one.
    ///
    /// `listen` makes a shell in between set LISTEN_PID, which only the child knows.
    static func run(
        _ arguments: [String], environment: [String] = [], passed: CInt = -1, second: CInt = -1,
        listen: Bool = false
    ) throws -> Result {
        var output = try Unix.Pipe()
        var errors = try Unix.Pipe()
        let move = second >= 0 ? "exec 4<&0 0</dev/null; " : ""
        let script = move + (listen ? "LISTEN_PID=$$ " : "") + "exec \"$0\" \"$@\""
        let child = try SpawnedProcess(
            path: "/bin/sh", arguments: ["-c", script, path] + arguments, environment: environment,
            standardInput: second, standardOutput: output.writeEnd.rawValue,
            standardError: errors.writeEnd.rawValue,
            control: passed)
        // Replaces this process's copies of the write ends, so that reading reaches an end of file.
        let idle = try UnixSocket.streamPair()
        output.writeEnd = try idle.first.duplicate()
        errors.writeEnd = try idle.first.duplicate()
        // The probe's output fits into a pipe, so the pipes may be read one after the other.
        let exit = try child.wait(milliseconds: Int32(Deadline.ofCall))
        if exit == nil { child.signal(SIGKILL) }
        return Result(
            output: text(output.readEnd.rawValue), errors: text(errors.readEnd.rawValue), exit: exit)
    }

    private static func text(_ descriptor: CInt) -> String {
        let data = try? FileHandle(fileDescriptor: descriptor, closeOnDealloc: false).readToEnd()
        return String(decoding: data ?? Data(), as: UTF8.self)
    }
}

/// A datagram socket in a directory of its own, such as the service manager and journald have.
final class DatagramSocket {
    let folder: String
    private(set) var descriptor: OwnedDescriptor

    var path: String { folder + "/socket" }

    init() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "sluice-\(UUID())").path()
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        self.folder = folder
        descriptor = try Self.bound(to: folder + "/socket")
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    private static func bound(to path: String) throws -> OwnedDescriptor {
        let type = CInt(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let descriptor = OwnedDescriptor(adopting: try valueOrErrno(socket(AF_UNIX, type, 0)))
        _ = try valueOrErrno(cunix_bind_unix(descriptor.rawValue, path))
        return descriptor
    }

    /// The messages that wait.
    func messages() -> [String] {
        var all: [String] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = recv(descriptor.rawValue, &buffer, buffer.count, 0)
            guard count >= 0 else { return all }
            all.append(String(decoding: buffer.prefix(count), as: UTF8.self))
        }
    }
}

extension DatagramSocket {
    /// Removes the socket's file, and closes the socket.
    func unbind() throws {
        try FileManager.default.removeItem(atPath: path)
        descriptor = OwnedDescriptor(adopting: -1)
    }

    /// Another socket at the same path.
    func remade() throws -> DatagramSocket {
        descriptor = try Self.bound(to: path)
        return self
    }

    /// The content of the sealed file that came with the first waiting message.
    func receiveFile() throws -> [UInt8] {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 1)
        defer { buffer.deallocate() }
        var message = try SocketMessage.receive(into: buffer, from: descriptor, dontWait: true)
        guard let file = message.descriptors.take(0) else { throw Errno.badFileDescriptor }
        // The file position is shared, and is at the end.
        var bytes = [UInt8](repeating: 0, count: 4 << 20)
        let count = try valueOrErrno(CInt(clamping: pread(file.rawValue, &bytes, bytes.count, 0)))
        guard write(file.rawValue, "x", 1) < 0, errno == EPERM else { throw Errno.permissionDenied }
        return Array(bytes.prefix(Int(count)))
    }

    /// The first waiting message, and the kinds of the descriptors that came with it. They are closed by then.
    func receive() throws -> (text: String, kinds: [DescriptorKind]) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 1)
        defer { buffer.deallocate() }
        var message = try SocketMessage.receive(into: buffer, from: descriptor, dontWait: true)
        var kinds: [DescriptorKind] = []
        for index in 0..<message.descriptors.count {
            if let one = message.descriptors.take(index) { kinds.append(DescriptorKind(of: one)) }
        }
        return (String(decoding: buffer.prefix(message.count), as: UTF8.self), kinds)
    }

    /// Sends to `other` until its queue is full.
    func fill(_ other: DatagramSocket) throws {
        _ = try valueOrErrno(cunix_connect_unix(descriptor.rawValue, other.path))
        while send(descriptor.rawValue, "x", 1, 0) == 1 {}
        guard errno == EAGAIN else { throw Errno(rawValue: errno) }
    }
}
