internal import CCurlShim
internal import CUnix
internal import Glibc

/// The network connections of this process. They belong to libcurl, and Foundation gives no access to them.
///
/// They are found by a search through all descriptors (`/proc/self/fd`), of which a lane has few.
enum InetSockets {
    /// A connection. The inode distinguishes it from a later one with the same descriptor.
    struct Identity: Hashable {
        let descriptor: CInt
        let inode: UInt64
    }

    /// Ends every connection of this process, in both directions (`shutdown(2)`).
    ///
    /// `URLSessionTask.cancel` waits for the session's queue, which a fast origin may occupy for the rest of a body;
    /// this function does not wait. The descriptors stay open, because libcurl must close them.
    static func shutDownAll() {
        for socket in all() {
            shutdown(socket.descriptor, CInt(SHUT_RDWR))
        }
    }

    /// Shuts down, between two transfers, each kept connection on which bytes wait to be read, or that has ended.
    ///
    /// libcurl would take the waiting bytes for the answer to the next request (curl issue 10690): a second response
    /// without a request, the rest of a body behind its announced length, or a 408 before the server closes. The
    /// waiting bytes may also be a TLS session ticket or an HTTP/2 frame. Then a good connection is lost, and a new one
    /// must be made.
    static func dropUnusable() {
        for socket in kept() ?? all().map(\.descriptor) where hasSomethingToRead(socket) {
            // The descriptor may be something else by now: a pipe, or the socket to the daemon.
            guard isInternetSocket(socket) else {
                ccurlshim_forget_socket(socket)
                continue
            }
            shutdown(socket, CInt(SHUT_RDWR))
            discardInput(socket)
        }
    }

    /// Descriptors that may be kept connections, from the shim; nil if the shim does not know them. A search through
    /// `/proc` for each job would take half of the system calls of a small body.
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

    /// `shutdown(2)` leaves received bytes in the socket, and libcurl would read them.
    private static func discardInput(_ descriptor: CInt) {
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        // The loop is bounded by the size of a receive buffer. No bytes are added after the shutdown.
        for _ in 0..<256 where recv(descriptor, &buffer, buffer.count, CInt(MSG_DONTWAIT)) > 0 {}
    }

    /// All network connections of this process.
    static func all() -> [Identity] {
        descriptors().compactMap { descriptor in
            guard isInternetSocket(descriptor) else { return nil }
            var status = stat()
            guard fstat(descriptor, &status) == 0 else { return nil }
            return Identity(descriptor: descriptor, inode: UInt64(status.st_ino))
        }
    }

    /// Whether this connection still exists and neither side has closed it.
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
