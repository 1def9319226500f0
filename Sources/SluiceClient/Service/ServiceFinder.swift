public import SluiceInterface
internal import SystemPackage
internal import Varlink

/// Knows the paths where services listen, the order in which to try them, and what an error at one of them means.
///
/// A path given by an option or by `SLUICE_SOCKET` is the only one that is tried, and it is an error if no service
/// listens there. Without such a path the system's socket comes first, then the user's own. A socket file that no
/// process serves counts as absent. A socket that exists and may not be used ends the search: silently taking another
/// one would hide the mistake.
public struct ServiceFinder: Sendable, Equatable {
    /// The environment variable with the path of a socket.
    public static let variable = "SLUICE_SOCKET"

    /// The paths, in the order in which they are tried.
    public let paths: [String]
    /// Whether an option or the environment gave the path.
    public let isExplicit: Bool

    /// Determines the paths.
    ///
    /// - Parameters:
    ///   - explicit: the path on the command line; it overrides everything else.
    ///   - environment: `SLUICE_SOCKET` and `XDG_RUNTIME_DIR` are used; empty values count as unset.
    ///   - system: the path where the system's service listens.
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
    /// - Returns: nil where no service listens at the usual paths; never nil where a path was given.
    /// - Throws: `.noService` for a given path, `.permissionDenied`, `.local`.
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

    /// Connects to the first service that listens. It is an error if there is none.
    ///
    /// - Throws: as `find`, and `.noService`.
    public func connect() throws(SluiceError) -> SluiceConnection {
        if let connection = try find() { return connection }
        throw SluiceError(
            .noService, "no service runs: no process listens at \(paths.joined(separator: " or at "))",
            remedy: "start it (systemctl start sluiced.socket), or name its socket with --socket")
    }
}
