import Glibc
import SluiceDaemon
import SystemPackage
import Systemd
import UnixSockets

/// The sockets to listen on: those that the service manager passed, else one of our own.
struct Listening: ~Copyable {
    var listeners: ListenerList
    /// The sockets are ours: no service manager holds them beside us.
    let areOwn: Bool
    /// The socket file that is ours to remove.
    let ownFile: SocketFile?
    /// What the service manager passed, without the listeners: what it has kept for us.
    var passed: ListenDescriptors

    /// Takes the passed sockets, or makes one at `path`, and the directory for it.
    ///
    /// - Throws: `ListenDescriptorsError`, `ListenError`.
    static func open(path: String) throws -> Listening {
        var passed = try ListenDescriptors.take()
        var listeners = ListenerList()
        while let socket = passed.takeFirst() { listeners.append(socket.descriptor) }
        guard listeners.count == 0 else {
            return Listening(listeners: listeners, areOwn: false, ownFile: nil, passed: passed)
        }
        if let slash = path.lastIndex(of: "/"), slash != path.startIndex {
            // It may be there already, and if it cannot be made the socket will say so.
            mkdir(String(path[..<slash]), 0o755)
        }
        listeners.append(try UnixSocket.listen(path: path))
        return Listening(
            listeners: listeners, areOwn: true, ownFile: SocketFile(path: path), passed: passed)
    }
}

/// A socket file as it was when we made it.
struct SocketFile {
    private let path: String
    private let device: dev_t
    private let inode: ino_t

    init?(path: String) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return nil }
        self.path = path
        device = status.st_dev
        inode = status.st_ino
    }

    /// Removes it, unless somebody else's has taken its place.
    func remove() {
        var status = stat()
        guard lstat(path, &status) == 0, status.st_dev == device, status.st_ino == inode else { return }
        unlink(path)
    }
}

/// Descriptors 0, 1 and 2, which a careless parent may have closed.
enum StandardDescriptors {
    /// Puts /dev/null where there is nothing, so that no socket of ours gets one of these numbers and is taken for a
    /// log by us or by a lane.
    static func fill() {
        for number: CInt in 0...2 where fcntl(number, F_GETFD) < 0 {
            // The lowest number that is free, and that is this one.
            _ = open("/dev/null", O_RDWR)
        }
    }
}
