internal import Glibc

/// What a lane that is started as a program would load and read, as far as stat(2) can tell.
struct LaneImage: Equatable {
    private let versions: [FileVersion?]

    init(of executable: String) {
        let directory = executable.lastIndex(of: "/").map { String(executable[..<$0]) } ?? "."
        versions = [
            FileVersion(of: executable),
            // ldconfig(8) writes it anew when libraries are installed.
            FileVersion(of: "/etc/ld.so.cache"),
            // The certificates of the authorities, which a nursery reads (trust.c), on Debian and on Fedora.
            FileVersion(of: "/etc/ssl/certs/ca-certificates.crt"),
            FileVersion(of: "/etc/pki/tls/certs/ca-bundle.crt"),
            // The program's RUNPATH. A directory changes when a file in it is replaced.
            FileVersion(of: "\(directory)/../lib/sluice"), FileVersion(of: "\(directory)/../../lib/sluice"),
        ]
    }

    private struct FileVersion: Equatable {
        let device: UInt
        let inode: UInt
        let seconds: Int
        let nanoseconds: Int

        init?(of path: String) {
            var status = stat()
            guard stat(path, &status) == 0 else { return nil }
            device = status.st_dev
            inode = status.st_ino
            seconds = status.st_mtim.tv_sec
            nanoseconds = status.st_mtim.tv_nsec
        }
    }
}
