import Glibc
import TestKit
import Testing

@testable import SluiceDaemon

@Suite("The numbers of a process") struct ProcessNumbersTests {
    @Test("the memory and the threads of a process can be read, and a missing process has no numbers")
    func readsMemoryAndThreads() throws {
        let numbers = try #require(ProcessNumbers(getpid()))
        let memory = numbers.anonymousMemory ?? 0
        #expect(memory > 1 << 20)
        let gate = try Gate()
        let threads = (0..<20).map { _ in TestThread { _ = gate.wait() } }
        let count = numbers.threads ?? 0
        #expect(count > 20)
        gate.open()
        for thread in threads { thread.join() }
        let isThere = ProcessNumbers(0x7fff_ffff) != nil
        #expect(!isThere)
    }
}
