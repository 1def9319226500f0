internal import CUnix
internal import Glibc

/// The kind of a descriptor, for code that gets many back at once and in no order, as from the service manager's
/// store.
///
/// It is found out from the descriptor alone (`fstat(2)`, `fstatfs(2)`, F_GETFL, F_GET_SEALS, `getsockopt(2)`), with
/// three system calls at most. The kind says what the descriptor refers to, not whether its content is valid.
public enum DescriptorKind: Sendable, Equatable {
    /// The end of a pipe that bytes are written to.
    case pipeWriteEnd
    /// The end of a pipe that bytes are read from.
    case pipeReadEnd
    /// A pipe opened for both (`reopenedForReadingAndWriting`). It reports no hang-up.
    case pipeBothEnds
    /// A file that `SharedCounters` may map.
    case counterPage
    /// A memory file of the size and the seals of a `RecordFile`.
    case recordFile
    /// A Unix stream socket that has or had a peer.
    case connectedSocket
    /// Anything else.
    case foreign

    /// Examines a descriptor. A descriptor that is not open is foreign.
    public init(of descriptor: borrowing OwnedDescriptor) {
        self.init(ofRaw: descriptor.rawValue)
    }

    private init(ofRaw descriptor: CInt) {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            self = .foreign
            return
        }
        switch status.st_mode & S_IFMT {
        case S_IFIFO: self = Self.pipe(descriptor)
        case S_IFREG: self = Self.memoryFile(descriptor, size: status.st_size)
        case S_IFSOCK: self = Self.socket(descriptor)
        default: self = .foreign
        }
    }

    private static func pipe(_ descriptor: CInt) -> DescriptorKind {
        // A FIFO in a file system may have writers that this process does not know about.
        guard cunix_is_anonymous_pipe(descriptor) else { return .foreign }
        let flags = cunix_get_status_flags(descriptor)
        guard flags >= 0 else { return .foreign }
        switch flags & O_ACCMODE {
        case O_WRONLY: return .pipeWriteEnd
        case O_RDONLY: return .pipeReadEnd
        case O_RDWR: return .pipeBothEnds
        default: return .foreign
        }
    }

    private static func memoryFile(_ descriptor: CInt, size: off_t) -> DescriptorKind {
        let flags = cunix_get_status_flags(descriptor)
        guard flags >= 0, flags & O_ACCMODE == O_RDWR, cunix_size_is_sealed(descriptor) else {
            return .foreign
        }
        switch Int(size) {
        case SharedCounters.fileSize: return .counterPage
        case RecordFile.fileSize: return .recordFile
        default: return .foreign
        }
    }

    private static func socket(_ descriptor: CInt) -> DescriptorKind {
        let isUnixStream =
            cunix_socket_domain(descriptor) == AF_UNIX
            && option(SO_TYPE, of: descriptor) == CInt(SOCK_STREAM.rawValue)
        guard isUnixStream, option(SO_ACCEPTCONN, of: descriptor) == 0 else { return .foreign }
        var address = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let hasPeer = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                getpeername(descriptor, $0, &length) == 0
            }
        }
        return hasPeer ? .connectedSocket : .foreign
    }

    private static func option(_ option: CInt, of socket: CInt) -> CInt? {
        var value: CInt = 0
        var length = socklen_t(MemoryLayout<CInt>.size)
        return getsockopt(socket, SOL_SOCKET, option, &value, &length) == 0 ? value : nil
    }
}
