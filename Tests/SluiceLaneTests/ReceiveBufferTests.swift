import TestKit
import Testing
import UnixSockets

/// F16: what Foundation sets, and that libcurl gets something else. The same is asked of a statically linked lane by
/// `make build-static`, and of the installed one by the test of the package.
@Suite("The receive buffer")
struct ReceiveBufferTests {
    @Test("libcurl gets 256 KiB where Foundation asks for 16")
    func takesEffect() throws {
        let result = try Program.run(Products.path("sluice-lane"), ["--check-receive-buffer"])
        #expect(result.exit == .exited(0))
        #expect(
            result.output == "libcurl's receive buffer has 262144 bytes; Foundation asked for 16384\n",
            "\(result.output)\(result.errors)")
    }
}
