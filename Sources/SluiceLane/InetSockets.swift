internal import CCurlShim
internal import CUnix
internal import Glibc

/// The network connections of this process, which belong to libcurl and which Foundation does not show.
///
/// They are found by looking at every descriptor (`/proc/self/fd`). A lane has few.
enum InetSockets {
    /// A connection, told apart from later ones with the same number by its inode.
    struct Identity: Hashable {
        let descriptor: CInt
        let inode: UInt64
    }

    /// Ends every connection of this process, in both directions (`shutdown(2)`).
    ///
    /// `URLSessionTask.cancel` waits for the session's queue, which a fast origin may hold for the rest of a body;
    /// this does not. The descriptors stay open: they are libcurl's to close.
    static func shutDownAll() {
        for socket in all() {
            shutdown(socket.descriptor, CInt(SHUT_RDWR))
        }
    }

    /// Takes away, between two transfers, each connection on which something waits to be read, or that has ended.
    ///
    /// libcurl would take what waits for the answer to the next request (curl issue 10690): a second response
    /// without a request, the rest of a body behind its announced length, a 408 that says goodbye. A session ticket or
    /// a frame of HTTP/2 may wait as well; then a good connection is lost, which costs a new one.
    static func dropUnusable() {
        for socket in kept() ?? all().map(\.descriptor) where hasSomethingToRead(socket) {
            // The number may have gone to something else: a pipe, or the socket to the daemon.
            guard isInternetSocket(socket) else {
                ccurlshim_forget_socket(socket)
                continue
            }
            shutdown(socket, CInt(SHUT_RDWR))
            discardInput(socket)
        }
    }

    /// What may be kept connections, as the shim knows: for each job to look through `/proc` would be half of the system
    /// calls that a small body costs. Nil where the shim does not know.
    private static func kept() -> [CInt]? {
        var sockets = [CInt](repeating: -1, count: 64)
        let count = ccurlshim_sockets(&sockets, CInt(sockets.count))
        return count < 0 ? nil : Array(sockets.prefix(Int(count)))
    }

    private static func isInternetSocket(_ descriptor: CInt) -> Bool {
        let domain = cunix_socket_domain(descriptor)
        return domain == AF_INET || domain == AF_INET6
    }

    private static func hasSomethingToRead(_ descriptor: CInt) -> Bool {
        var byte: UInt8 = 0
        let count = recv(descriptor, &byte, 1, CInt(MSG_PEEK | MSG_DONTWAIT))
        return count >= 0 || (errno != EAGAIN && errno != EINTR)
    }

    /// `shutdown(2)` leaves what has come in the socket, and libcurl would find it.
    private static func discardInput(_ descriptor: CInt) {
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        // No more than a receive buffer holds: nothing is added any more.
        for _ in 0..<256 where recv(descriptor, &buffer, buffer.count, CInt(MSG_DONTWAIT)) > 0 {}
    }

    /// The connections there are.
    static func all() -> [Identity] {
        descriptors().compactMap { descriptor in
            guard isInternetSocket(descriptor) else { return nil }
            var status = stat()
            guard fstat(descriptor, &status) == 0 else { return nil }
            return Identity(descriptor: descriptor, inode: UInt64(status.st_ino))
        }
    }

    /// Whether this very connection is still there and neither side has closed it.
    static func isEstablished(_ socket: Identity) -> Bool {
        var status = stat()
        return fstat(socket.descriptor, &status) == 0 && UInt64(status.st_ino) == socket.inode
            && cunix_tcp_state(socket.descriptor) == CInt(CUNIX_TCP_ESTABLISHED)
    }

    private static func descriptors() -> [CInt] {
        guard let directory = opendir("/proc/self/fd") else { return [] }
        defer { closedir(directory) }
        var found: [CInt] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if let number = CInt(name), number != dirfd(directory) { found.append(number) }
        }
        return found
    }
}
