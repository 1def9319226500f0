internal import CTestKit
public import Testing

/// Keeps programs from being started while a test looks at the end of a descriptor.
///
/// A child has a copy of every descriptor of its parent until its execve(2). So while one test starts a program,
/// another sees no end of file, no hang-up, no EPIPE and no lock given back, although it has closed the last descriptor
/// it knows of. Every start in the test process, however it is made, is counted (`forks.c` takes `fork` and
/// `posix_spawn` over): it waits while a test holds the forks, and a hold waits for the starts that are under way.
/// Holds do not wait for each other.
///
/// Use the trait where a test, or a suite of short ones, says what is true *at once* after a close, a hang-up or a
/// lock's end. A test that waits for such an event needs no hold: a start takes milliseconds.
///
/// ## Concurrency model
/// A hold may be ended by another thread than began it. The thread that began it may start programs meanwhile; one that
/// another thread starts waits for the end of the hold, or 20 s.
public struct ForkHold: TestTrait, SuiteTrait, TestScoping {
    /// Each test of a suite by itself.
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
        // @unchecked: the C functions have a lock of their own, and never free it.
        private let hold = ctestkit_forks_hold()

        func release() { ctestkit_forks_release(hold) }
    }
}

extension Trait where Self == ForkHold {
    /// No program is started while the test runs, but by its own thread. See `ForkHold`.
    public static var withoutForks: ForkHold { ForkHold() }
}

/// The same for a part of a test.
public func withoutForks<Result>(_ body: () throws -> Result) rethrows -> Result {
    let hold = ctestkit_forks_hold()
    defer { ctestkit_forks_release(hold) }
    return try body()
}
