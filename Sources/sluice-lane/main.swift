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

serve()
