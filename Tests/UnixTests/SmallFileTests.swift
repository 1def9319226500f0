import TestKit
import Testing
import Unix

@Suite("A small file")
struct SmallFileTests {
    @Test("is read whole, also where it has no size")
    func readsWhole() throws {
        let directory = try TemporaryDirectory()
        let path = try directory.write("one\ntwo\n", to: "file")
        #expect(SmallFile.text(of: path) == "one\ntwo\n")
        #expect(SmallFile.text(of: "/proc/self/status")?.hasPrefix("Name:") == true)
    }

    @Test("is cut at the limit")
    func cutsAtLimit() throws {
        let directory = try TemporaryDirectory()
        #expect(SmallFile.text(of: try directory.write("12345", to: "file"), atMost: 3) == "123")
    }

    @Test("is nil where it does not exist or cannot be read")
    func isNilWithoutFile() throws {
        let directory = try TemporaryDirectory()
        #expect(SmallFile.text(of: directory.file("none")) == nil)
        #expect(SmallFile.text(of: directory.path) == nil)
    }
}
