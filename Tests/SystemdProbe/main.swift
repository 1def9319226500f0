// A small program that uses the Systemd module as a service does, for tests that observe it from outside. Some tests
// start it as a plain child with an environment of their own, others as a unit under a real systemd.
internal import Glibc
internal import Logging
internal import SystemPackage
internal import Systemd
internal import Unix

switch CommandLine.arguments.dropFirst().first {
case "notify": ProbeNotify.run()
case "notify-store": ProbeNotify.store()
case "listen": ProbeListen.run()
case "log": ProbeLog.run()
case "flood": ProbeLog.flood(gates: Array(CommandLine.arguments.dropFirst(2)))
case "job": ProbeJob.run()
case "job-service": ProbeJob.service(CommandLine.arguments.dropFirst(2).first ?? "")
case "keeper": ProbeKeeper.run(folder: CommandLine.arguments.dropFirst(2).first ?? ".")
case "record": ProbeRecord.run()
case "service": ProbeService.run(gate: CommandLine.arguments.dropFirst(2).first)
default:
    print(
        "usage: systemd-probe notify | notify-store | listen | log | flood FIFO FIFO | service [FIFO] | record | job"
            + " | job-service FILE | keeper FOLDER")
    exit(2)
}
