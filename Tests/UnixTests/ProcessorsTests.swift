import Glibc
import TestKit
import Testing

@testable import Unix

@Suite("The machine's processors")
struct ProcessorsTests {
    @Test("are counted as nproc(1) does, by the process's affinity mask")
    func countsLikeNproc() throws {
        let output = try Program.run("/usr/bin/env", ["-i", "/usr/bin/nproc"]).successful().output
        // A newer nproc(1) knows quotas as well.
        #expect([Processors.allowed, Processors.available].contains(Int(output.dropLast())))
        #expect(Processors.available >= 1)
    }

    @Test(
        "are no more than the least quota of the control group and of those around it, rounded up",
        arguments: [
            (nil, "150000 100000\n", "max 100000\n", 2), ("200000 100000\n", "50000 100000\n", nil, 1),
            ("100000 100000\n", "400000 100000\n", "100001 100000\n", 1),
            ("300000 100000\n", nil, "300001 100000\n", 3), ("max 100000\n", "max 100000\n", nil, nil),
            ("1 1000000\n", nil, nil, 1), ("0 100000\n", "x\n", "", nil), (nil, nil, nil, nil),
        ] as [(String?, String?, String?, Int?)])
    func keepsQuota(of slice: String?, _ service: String?, _ own: String?, expected: Int?) throws {
        let directory = try TemporaryDirectory()
        for (group, contents) in [
            ("a.slice", slice), ("a.slice/b.service", service), ("a.slice/b.service/c", own),
        ] {
            try directory.makeDirectory(group)
            if let contents { try directory.write(contents, to: "\(group)/cpu.max") }
        }
        let membership = try directory.write("1:cpu:/\n0::/a.slice/b.service/c\n", to: "cgroup")
        #expect(Processors.quota(membership: membership, root: directory.path) == expected)
    }

    @Test("are not looked for where there are no control groups of version 2")
    func needsNoControlGroup() throws {
        let directory = try TemporaryDirectory()
        let old = try directory.write("1:cpu:/a\n", to: "cgroup")
        #expect(Processors.quota(membership: old, root: directory.path) == nil)
        #expect(Processors.quota(membership: directory.file("none"), root: directory.path) == nil)
    }
}
