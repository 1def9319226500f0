import Foundation
import TestKit
import Testing

/// The manual pages of the programs describe exactly the options that the programs have.
@Suite("The programs' pages") struct CommandManualTests {
    /// What `--experimental-dump-help` of swift-argument-parser prints.
    private struct Dump: Decodable {
        var command: Command
    }

    private struct Command: Decodable {
        var commandName: String
        var subcommands: [Command]?
        var arguments: [Argument]?

        /// The options that `--help` shows, without arguments that have no names.
        var options: [Argument] { (arguments ?? []).filter { $0.shouldDisplay && $0.kind != .positional } }
        var positionals: [Argument] { (arguments ?? []).filter { $0.kind == .positional } }
    }

    private struct Argument: Decodable {
        struct Name: Decodable {
            var kind: String
            var name: String
        }

        enum Kind: String, Decodable {
            case positional, option, flag
        }

        var kind: Kind
        var shouldDisplay: Bool
        var names: [Name]?
        var valueName: String?

        /// `-o`, `--output`
        var spellings: Set<String> {
            Set((names ?? []).map { $0.kind == "short" ? "-\($0.name)" : "--\($0.name)" })
        }
    }

    private func command(_ program: String) throws -> Command {
        let result = try Program.run(try Products.path(program), ["--experimental-dump-help"])
        return try JSONDecoder().decode(Dump.self, from: Data(result.successful().output.utf8)).command
    }

    /// The subcommands of sluicectl, without `help`, which the library adds.
    private func subcommands() throws -> [Command] {
        let found = try #require(try command("sluicectl").subcommands).filter { $0.commandName != "help" }
        try #require(found.count >= 7)
        return found
    }

    /// The options that a page has an item for: `.It Fl o Ar file , Fl -output Ar file`.
    private func documented(_ page: ManPage) -> [(spellings: Set<String>, hasValue: Bool)] {
        page.items.filter { $0.head.first == "Fl" }.map { item in
            var spellings: Set<String> = []
            for (macro, name) in zip(item.head, item.head.dropFirst()) where macro == "Fl" {
                spellings.insert("-\(name)")
            }
            return (spellings, item.head.contains("Ar"))
        }
    }

    private func compare(_ options: [Argument], _ pages: [ManPage], _ what: String) {
        let documented = pages.flatMap(documented)
        for option in options {
            let items = documented.filter { !$0.spellings.isDisjoint(with: option.spellings) }
            #expect(!items.isEmpty, "\(what): \(option.spellings) is not documented in \(pages.map(\.name))")
            for item in items {
                #expect(item.spellings == option.spellings, "\(what)")
                #expect(item.hasValue == (option.kind == .option), "\(what): \(option.spellings)")
            }
        }
    }

    private func expectNoOthers(_ page: ManPage, than options: [Argument]) {
        let known = Set(options.flatMap(\.spellings))
        for item in documented(page) {
            #expect(item.spellings.isSubset(of: known), "\(page.name): there is no \(item.spellings)")
        }
    }

    @Test("every subcommand of sluicectl has a page with its options, and the overview names it")
    func everySubcommandHasPage() throws {
        let overview = try ManPage("sluicectl.1")
        let commands = try subcommands()
        #expect(
            overview.items(in: "DESCRIPTION", "Commands").map(\.head)
                == commands.map { ["Cm", $0.commandName] })
        for command in commands {
            let page = try ManPage("sluicectl-\(command.commandName).1")
            compare(command.options, [page, overview], command.commandName)
            expectNoOthers(page, than: command.options)
            #expect(overview.lines.contains("\(page.reference)."), "\(page.name) is not referred to")
            #expect(page.lines.contains(".Nm sluicectl \(command.commandName)"), "\(page.name)")
        }
    }

    @Test("the overview has the options that all subcommands share, and none that fewer than two have")
    func overviewHasSharedOptions() throws {
        let overview = try ManPage("sluicectl.1")
        let commands = try subcommands()
        func count(_ option: Argument) -> Int {
            commands.count { $0.options.contains { $0.spellings == option.spellings } }
        }
        let options = commands.flatMap(\.options)
        compare(options.filter { count($0) == commands.count }, [overview], "all commands")
        expectNoOthers(overview, than: options.filter { count($0) > 1 })
    }

    @Test("a synopsis has the command's own options and its arguments")
    func synopsisHasOptionsAndArguments() throws {
        for command in try subcommands() {
            let synopsis = try ManPage("sluicectl-\(command.commandName).1").section("SYNOPSIS")
            let words = synopsis.flatMap(ManPage.tokens)
            if !synopsis.contains(".Op Ar options") {
                for option in command.options
                where option.spellings.isDisjoint(with: ["--help", "--version"]) {
                    let isThere = option.spellings.contains { words.contains(String($0.dropFirst())) }
                    #expect(isThere, "\(command.commandName): no \(option.spellings)")
                }
            }
            for argument in command.positionals {
                let name = try #require(argument.valueName)
                #expect(
                    words.contains { !$0.isEmpty && name.hasPrefix($0) }, "\(command.commandName): \(name)")
            }
        }
    }

    @Test("no page is about a subcommand that does not exist")
    func everyPageHasSubcommand() throws {
        let pages = try FileManager.default.contentsOfDirectory(atPath: "\(Repository.path)/man")
        let commands = try subcommands().map { "sluicectl-\($0.commandName).1" }
        #expect(pages.filter { $0.hasPrefix("sluicectl-") }.sorted() == commands.sorted())
    }

    @Test("sluiced(8) has the options of sluiced")
    func daemonPageHasItsOptions() throws {
        let page = try ManPage("sluiced.8")
        let options = try command("sluiced").options
        compare(options, [page], "sluiced")
        expectNoOthers(page, than: options)
        let words = page.section("SYNOPSIS").flatMap(ManPage.tokens)
        for option in options {
            #expect(
                option.spellings.contains { words.contains(String($0.dropFirst())) }, "\(option.spellings)")
        }
    }

    @Test("sluiced(8) has the fields of the journal's entries")
    func daemonPageHasJournalFields() throws {
        var fields: Set<String> = []
        for directory in ["Sources/SluiceDaemon", "Sources/sluiced", "Sources/Systemd"] {
            let path = "\(Repository.path)/\(directory)"
            for file in try FileManager.default.subpathsOfDirectory(atPath: path)
            where file.hasSuffix(".swift") {
                let parts = try readText("\(path)/\(file)").split(separator: "\"")
                fields.formUnion(parts.filter { $0.wholeMatch(of: /SLUICE_[A-Z_]+/) != nil }.map(String.init))
            }
        }
        try #require(fields.count > 10)
        let documented = try ManPage("sluiced.8").items(in: "JOURNAL").map { $0.head.last ?? "" }
        #expect(documented.sorted() == fields.sorted())
    }
}

extension ManPage {
    /// A reference to it at the end of a sentence, without the full stop.
    fileprivate var reference: String {
        let parts = name.split(separator: ".")
        return ".Xr \(parts.dropLast().joined(separator: ".")) \(parts.last ?? "") "
    }
}
