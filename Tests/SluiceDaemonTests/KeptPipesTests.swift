import Glibc
import SystemPackage
import TestKit
import Testing
import Unix

@testable import SluiceDaemon

/// A program that another test starts would hold one more copy of the pipe until its execve(2).
@Suite("Pipes of ended jobs", .withoutForks)
struct KeptPipesTests {
    private static let user: UInt32 = 1000

    /// The rest of a job whose consumer has not read to the end: the pipe's read end.
    ///
    /// - Parameter capacity: the capacity of the pipe; nil for the kernel's default.
    private func endJob(
        _ kept: KeptPipes, bytes: Int, capacity: Int? = nil, user: UInt32 = user
    ) throws -> OwnedDescriptor {
        let pipe = try Pipe()
        if let capacity { _ = try pipe.writeEnd.setPipeCapacity(capacity) }
        let body = [UInt8](repeating: 7, count: bytes)
        #expect(write(pipe.writeEnd.rawValue, body, bytes) == bytes)
        kept.keep(pipe.writeEnd, of: user)
        return try pipe.readEnd.duplicate()
    }

    private func read(_ count: Int, from descriptor: CInt) -> Int {
        var bytes = [UInt8](repeating: 0, count: count)
        return Glibc.read(descriptor, &bytes, count)
    }

    private func untimed() -> KeptPipes { KeptPipes(later: { _, _ in }) }

    @Test("a pipe that no process has open any more is not counted, whatever it contained")
    func ignoresPipesWithoutProcess() throws {
        let kept = untimed()
        for bytes in [0, 1, 60_000] {
            let consumer = try endJob(kept, bytes: bytes)
            kept.look()
            #expect(kept.sum(of: Self.user).pipes == 1, "\(bytes)")
            _ = consume consumer
            kept.look()
            #expect(kept.all == KeptPipes.Sum(), "\(bytes)")
        }
    }

    @Test("a kept pipe counts with its capacity, shrinks as its consumer reads, and can be read to its end")
    func shrinksKeptPipe() throws {
        let kept = untimed()
        let consumer = try endJob(kept, bytes: 100_000, capacity: 1 << 20)
        #expect(kept.sum(of: Self.user) == KeptPipes.Sum(pipes: 1, bytes: 1 << 20))
        kept.look()
        #expect(kept.sum(of: Self.user) == KeptPipes.Sum(pipes: 1, bytes: 128 << 10))
        #expect(try consumer.pipeCapacity() == 128 << 10)
        #expect(read(90_000, from: consumer.rawValue) == 90_000)
        kept.look()
        #expect(kept.all.bytes <= 32 << 10)
        // The service does not affect the consumer, which reads all bytes, and then the end.
        #expect(read(20_000, from: consumer.rawValue) == 10_000)
        #expect(read(1, from: consumer.rawValue) == 0)
        for _ in 0..<3 {
            kept.look()
            #expect(kept.all == KeptPipes.Sum(pipes: 1, bytes: try consumer.pipeCapacity()))
        }
        #expect(try consumer.pipeCapacity() == 4096)
        // The consumer has grown the pipe, which it may do. The service notices that and takes the memory back.
        _ = try consumer.setPipeCapacity(1 << 20)
        kept.look()
        #expect(try consumer.pipeCapacity() == 4096)
        #expect(read(1, from: consumer.rawValue) == 0)
        _ = consume consumer
        kept.look()
        #expect(kept.all == KeptPipes.Sum())
    }

    @Test("the number and the size of pipes are summed separately for each user")
    func sumsPipesByUser() throws {
        let kept = untimed()
        let one = try endJob(kept, bytes: 5000, user: 1)
        let two = try endJob(kept, bytes: 5000, user: 2)
        let three = try endJob(kept, bytes: 5000, user: 2)
        kept.look(atMost: 1)
        kept.look(atMost: 2)
        #expect(kept.sum(of: 1) == KeptPipes.Sum(pipes: 1, bytes: 8192))
        #expect(kept.sum(of: 2) == KeptPipes.Sum(pipes: 2, bytes: 16384))
        #expect(kept.all == KeptPipes.Sum(pipes: 3, bytes: 24576))
        _ = consume one
        _ = consume two
        kept.look()
        #expect(kept.sum(of: 1) == KeptPipes.Sum() && kept.sum(of: 2).pipes == 1)
        _ = consume three
    }

    @Test("pipes that are gone do not accumulate, because many ended jobs trigger a look")
    func gonePipesDoNotAccumulate() throws {
        let kept = untimed()
        for _ in 0..<1000 { _ = try endJob(kept, bytes: 10) }
        #expect(kept.all.pipes < 64)
    }

    @Test("the timer backs off while pipes are kept, and stops when they are gone")
    func timerBacksOffAndStops() throws {
        var timers: [(after: Duration, run: () -> Void)] = []
        let kept = KeptPipes(later: { timers.append(($0, $1)) })
        let consumer = try endJob(kept, bytes: 10)
        let other = try endJob(kept, bytes: 10)
        for seconds in [1, 2, 4, 8] {
            #expect(timers.map(\.after) == [.seconds(seconds)])
            timers.removeFirst().run()
        }
        _ = consume consumer
        _ = consume other
        timers.removeFirst().run()
        #expect(timers.isEmpty && kept.all.pipes == 0)
    }
}
