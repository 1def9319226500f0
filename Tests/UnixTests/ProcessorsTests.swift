import TestKit
import Testing
import Unix

@Suite("The machine's processors")
struct ProcessorsTests {
    @Test("are counted as nproc(1) does, by the process's affinity mask")
    func countsLikeNproc() throws {
        let output = try Program.run("/usr/bin/env", ["-i", "/usr/bin/nproc"]).successful().output
        #expect(output == "\(Processors.available)\n")
    }
}
