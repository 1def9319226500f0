import Glibc
import SluiceDaemon
import SystemPackage
import Systemd
import Unix

/// The sockets to listen on: those that the service manager passed, else one that the daemon makes.
struct Listening: ~Copyable {
    var listeners: ListenerList
    /// The daemon made the sockets, so no service manager holds them, too.
    let areOwn: Bool
    /// The socket file that the daemon made and must remove.
    let ownFile: SocketFile?
    /// The other descriptors that the service manager passed: those that its store has kept for the daemon.
    var passed: ListenDescriptors

    /// Takes the passed sockets. If there are none, makes a socket at `path`, and its directory.
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
            // The directory may exist already. If it cannot be made, making the socket fails and reports it.
            mkdir(String(path[..<slash]), 0o755)
        }
        listeners.append(try UnixSocket.listen(path: path))
        return Listening(
            listeners: listeners, areOwn: true, ownFile: SocketFile(path: path), passed: passed)
    }
}

/// A socket file that the daemon made, identified by its device and inode.
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

    /// Removes the file, unless that of another process has taken its place.
    func remove() {
        var status = stat()
        guard lstat(path, &status) == 0, status.st_dev == device, status.st_ino == inode else { return }
        unlink(path)
    }
}

/// Descriptors 0, 1 and 2, which the parent process may have closed.
enum StandardDescriptors {
    /// Opens /dev/null at each number that is closed, so that no socket of the daemon gets one of these numbers and is
    /// mistaken for a log by the daemon or by a lane.
    static func fill() {
        for number: CInt in 0...2 where fcntl(number, F_GETFD) < 0 {
            // open(2) returns the lowest free number, which is this one.
            _ = open("/dev/null", O_RDWR)
        }
    }
}
