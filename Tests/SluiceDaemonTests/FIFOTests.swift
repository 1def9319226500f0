import Testing

@testable import SluiceDaemon

@Suite("A first-in, first-out queue") struct FIFOTests {
    @Test("the queue keeps its order over thousands of insertions and removals")
    func keepsOrder() {
        var queue = FIFO<Int>()
        var next = 0
        var expected = 0
        for round in 0..<3000 {
            for _ in 0..<(round % 5) {
                queue.append(next)
                next += 1
            }
            for _ in 0..<(round % 3) where queue.first != nil {
                #expect(queue.first == expected)
                queue.removeFirst()
                expected += 1
            }
            #expect(queue.count == next - expected)
        }
        while let first = queue.first {
            #expect(first == expected)
            queue.removeFirst()
            expected += 1
        }
        #expect(expected == next && queue.first == nil)
    }
}
