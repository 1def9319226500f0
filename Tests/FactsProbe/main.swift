// A program that uses URLSession in the ways that the facts are about, so that a test can watch it block, grow and
// die.
//
// `facts-probe session OPTION…` reads commands from its standard input and writes what it sees to its standard
// output, one line each; fields are separated by tabs. `facts-probe pipes COUNT BYTES` reports which pipes a user
// gets. `facts-probe lock` locks the file that is its descriptor 3 and keeps the lock until the input ends or a
// signal comes.
import Glibc

signal(SIGPIPE, SIG_IGN)
let arguments = CommandLine.arguments.dropFirst()
switch arguments.first {
case "session": runSession(ProbeOptions(arguments.dropFirst()))
case "pipes": makePipes(arguments.dropFirst().compactMap { Int($0) })
case "lock": lockControlFile()
default: exit(64)
}
