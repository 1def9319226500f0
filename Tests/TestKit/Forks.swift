internal import CTestKit
public import Testing

/// Prevents programs from being started while a test observes the end of a descriptor.
///
/// A child has a copy of every descriptor of its parent until its execve(2). While one test starts a program, another
/// test may therefore see no end of file, no hang-up, no EPIPE and no released lock, although it has closed the last
/// descriptor that it knows of. Every start in the test process is counted, however it is made (`forks.c` replaces
/// `fork` and `posix_spawn`): a start waits while a test holds the forks, and a hold waits for the starts in
/// progress. Holds do not wait for each other.
///
/// Use the trait where a test, or a suite of short tests, makes a statement about the moment *directly* after a
/// close, a hang-up or the release of a lock. A test that waits for such an event needs no hold: a start takes
/// milliseconds.
///
/// ## Concurrency model
/// A hold may be ended by another thread than the one that began it. The thread that began it may start programs
/// meanwhile. A start by another thread waits for the end of the hold, or 20 s.
public struct ForkHold: TestTrait, SuiteTrait, TestScoping {
    /// The hold applies to each test of a suite separately.
    public var isRecursive: Bool { true }

    /// Runs one test, or one case of it, while no program is being started.
    public func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        guard !test.isSuite else { return try await function() }
        let hold = Hold()
        defer { hold.release() }
        try await function()
    }

    private struct Hold: @unchecked Sendable {
        // @unchecked: the C functions guard what the pointer refers to with a lock of their own, and never free it.
        private let hold = ctestkit_forks_hold()

        func release() { ctestkit_forks_release(hold) }
    }
}

extension Trait where Self == ForkHold {
    /// While the test runs, only its own thread can start programs. See `ForkHold`.
    public static var withoutForks: ForkHold { ForkHold() }
}

/// The same for a part of a test.
public func withoutForks<Result>(_ body: () throws -> Result) rethrows -> Result {
    let hold = ctestkit_forks_hold()
    defer { ctestkit_forks_release(hold) }
    return try body()
}
