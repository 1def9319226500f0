internal import CReceiveBuffer
internal import Glibc
internal import SluiceLane
internal import UnixSockets

/// The daemon starts this program with its control socket as descriptor 3. It is of no use to anybody else.
func serve() -> Never {
    let control = OwnedDescriptor(adopting: 3)
    guard (try? PeerCredentials(of: control)) != nil else {
        print("sluice-lane is started by sluiced(8); to fetch a URL use sluicectl(1)")
        exit(64)  // EX_USAGE, sysexits(3)
    }
    Lane.run(control: control)
}

/// For whoever builds and packages it: whether libcurl gets our receive buffer depends on how the program is linked.
func checkReceiveBuffer() -> Never {
    TrialRequest.make()
    let replaced = creceivebuffer_replaced()
    guard replaced > 0 else {
        print(
            "libcurl's receive buffer has the size that Foundation asks for: transfers are slower than need be"
        )
        exit(1)
    }
    print("libcurl's receive buffer has \(CRECEIVEBUFFER_SIZE) bytes; Foundation asked for \(replaced)")
    exit(0)
}

if CommandLine.arguments.dropFirst() == ["--check-receive-buffer"] {
    checkReceiveBuffer()
} else {
    serve()
}
