import Glibc
import SluiceDaemon
import SystemPackage
import Systemd
import UnixSockets

/// The sockets to listen on: those that the service manager passed, else one of our own.
struct Listening: ~Copyable {
    var listeners: ListenerList
    /// For the log.
    let name: String
    /// The socket file that is ours to remove.
    let ownPath: String?

    /// Takes the passed sockets, or makes one at `path`, and the directory for it.
    ///
    /// - Throws: `ListenDescriptorsError`, `ListenError`.
    static func open(path: String) throws -> Listening {
        var passed = try ListenDescriptors.take()
        var listeners = ListenerList()
        let names = passed.names
        while let socket = passed.takeFirst() { listeners.append(socket.descriptor) }
        guard listeners.count == 0 else {
            return Listening(
                listeners: listeners, name: "passed: \(names.joined(separator: ", "))", ownPath: nil)
        }
        if let slash = path.lastIndex(of: "/"), slash != path.startIndex {
            // It may be there already, and if it cannot be made the socket will say so.
            mkdir(String(path[..<slash]), 0o755)
        }
        listeners.append(try UnixSocket.listen(path: path))
        return Listening(listeners: listeners, name: path, ownPath: path)
    }
}
