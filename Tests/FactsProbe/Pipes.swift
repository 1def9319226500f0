import CTestKit
import CUnix
import Glibc

/// Makes pipes, asks each for a capacity, and reports what the kernel gave. Keeps all of them until the input ends.
func makePipes(_ numbers: [Int]) {
    guard numbers.count == 2 else { exit(64) }
    for index in 0..<numbers[0] {
        var ends: [CInt] = [-1, -1]
        guard cunix_pipe2(&ends, true) == 0 else {
            return report("failed", ["index": index, "errno": errno])
        }
        let before = cunix_get_pipe_size(ends[1])
        let result = cunix_set_pipe_size(ends[1], CInt(numbers[1]))
        let error = result < 0 ? errno : 0
        report(
            "pipe", ["index": index, "before": before, "after": cunix_get_pipe_size(ends[1]), "errno": error])
    }
    report("made")
    while readLine() != nil {}
}

/// Takes the write lock of the file that is descriptor 3.
func lockControlFile() {
    report(ctestkit_lock_whole(3) == 0 ? "locked" : "failed")
    while true { pause() }
}
