import SluiceInterface
import TestKit
import Testing
import Unix

extension Integration {
    @Suite("Clients of others' making")
    struct OtherClients {
        /// PyPI's `varlink`, which `make test` installs.
        private func varlink(_ arguments: String...) throws -> String {
            let python = Program.inheritedEnvironment()["SLUICE_TEST_PYTHON"] ?? "python3"
            let program = try Program("/usr/bin/env", [python, "-m", "varlink.cli"] + arguments)
            let result = try program.wait()
            guard result.exit == .exited(0) else {
                throw TestFailure(
                    "varlink.cli failed: \(result.errors); PyPI's varlink is needed: make venv, and "
                        + "SLUICE_TEST_PYTHON=.build/venv/bin/python")
            }
            return result.output
        }

        @Test("Python's varlink package can use the service: info, help, Status, List")
        func pythonClientCallsService() throws {
            let service = try TestService()
            let address = "unix:\(service.socket)"
            let info = try varlink("info", address)
            #expect(info.contains("sluiced") && info.contains("io.sluice.Ingest"))
            let help = try varlink("help", "\(address)/io.sluice.Ingest")
            #expect(help.contains("method Fetch(") && help.contains("# Replies when the job has ended."))
            #expect(try varlink("call", "\(address)/io.sluice.Ingest.Status").contains("\"pipeBudget\""))
            #expect(try varlink("call", "\(address)/io.sluice.Ingest.List").contains("\"jobs\": []"))
        }
    }
}
