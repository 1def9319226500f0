public import SluiceInterface
internal import SystemPackage
internal import Varlink

/// Knows where services listen, in which order to ask, and what it means that one does not answer.
///
/// A place that was named (by an option or by `SLUICE_SOCKET`) is the only one that is asked, and that nobody serves
/// there is an error. Without a name the system's socket comes first, then the user's own; a socket file that nobody
/// serves counts as absent. A socket that is there and may not be used ends the search: to take another one in
/// silence would hide the mistake.
public struct ServiceFinder: Sendable, Equatable {
    /// The environment variable that names a socket.
    public static let variable = "SLUICE_SOCKET"

    /// The places, in the order in which they are asked.
    public let paths: [String]
    /// Somebody named the place.
    public let isExplicit: Bool

    /// Decides on the places.
    ///
    /// - Parameters:
    ///   - explicit: what was named on the command line; wins over everything.
    ///   - environment: `SLUICE_SOCKET` and `XDG_RUNTIME_DIR` are looked at; empty values are none.
    ///   - system: where the system's service listens.
    public init(
        explicit: String? = nil, environment: [String: String], system: String = SocketPath.system
    ) {
        func value(_ name: String) -> String? {
            environment[name].flatMap { $0.isEmpty ? nil : $0 }
        }
        if let named = explicit ?? value(Self.variable) {
            paths = [named]
            isExplicit = true
        } else {
            let user = value("XDG_RUNTIME_DIR").map { SocketPath.user(runtimeDirectory: $0) }
            paths = [system] + (user.map { [$0] } ?? [])
            isExplicit = false
        }
    }

    /// Connects to the first service that listens.
    ///
    /// - Returns: nil where nobody listens at the usual places; never nil where a place was named.
    /// - Throws: `.noService` for a named place, `.permissionDenied`, `.local`.
    public func find() throws(SluiceError) -> SluiceConnection? {
        for path in paths {
            do {
                return SluiceConnection(try VarlinkClient(connectedTo: path), path: path)
            } catch .cannotConnect(_, .noSuchFileOrDirectory) where !isExplicit {
                continue
            } catch .cannotConnect(_, .connectionRefused) where !isExplicit {
                continue
            } catch .cannotConnect(_, let errno) {
                throw SluiceError(cannotConnectTo: path, errno)
            } catch {
                throw SluiceError(error)
            }
        }
        return nil
    }

    /// Connects to the first service that listens; that there is none is an error.
    ///
    /// - Throws: as `find`, and `.noService`.
    public func connect() throws(SluiceError) -> SluiceConnection {
        if let connection = try find() { return connection }
        throw SluiceError(
            .noService, "no service runs: nobody listens at \(paths.joined(separator: " or at "))",
            remedy: "start it (systemctl start sluiced.socket), or name its socket with --socket")
    }
}
