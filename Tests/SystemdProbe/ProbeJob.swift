internal import Glibc
internal import Systemd

/// Reports the job that the service manager has for this process.
enum ProbeJob {
    /// Asks at once, and reports how long that took.
    static func run() {
        let began = ContinuousClock.now
        print(UnitJob.current())
        print(ContinuousClock.now - began < .seconds(2) ? "in time" : "late")
    }

    /// A service that asks when SIGTERM comes, and writes the answer to a file before it ends.
    static func service(_ file: String) {
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGTERM)
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        Notifier().ready()
        var number: CInt = 0
        sigwait(&signals, &number)
        let began = ContinuousClock.now
        let job = UnitJob.current()
        let took = ContinuousClock.now - began
        guard let out = fopen(file, "w") else { exit(1) }
        fputs("\(job)\n\(took)\n", out)
        fclose(out)
    }
}
