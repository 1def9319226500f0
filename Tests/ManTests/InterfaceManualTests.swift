import SluiceCore
import SluiceInterface
import Testing
import Varlink

/// io.sluice.Ingest(7) and the service's own description are the same contract, written twice.
@Suite("io.sluice.Ingest(7)") struct InterfaceManualTests {
    private let page: ManPage
    private let interface: InterfaceDescription

    init() throws {
        page = try ManPage("io.sluice.Ingest.7")
        interface = try InterfaceDescription(Ingest.description)
    }

    /// A type in varlink's notation.
    private static func spell(_ type: VarlinkType) -> String {
        switch type {
        case .bool: "bool"
        case .int: "int"
        case .float: "float"
        case .string: "string"
        case .object: "object"
        case .named(let name): name
        case .array(let inner): "[]\(spell(inner))"
        case .dictionary(let inner): "[string]\(spell(inner))"
        case .optional(let inner): "?\(spell(inner))"
        case .structure(let fields): "(\(fields.map(spell).joined(separator: ", ")))"
        case .enumeration(let words): "(\(words.joined(separator: ", ")))"
        }
    }

    private static func spell(_ field: VarlinkField) -> String {
        "\(field.name): \(spell(field.type))"
    }

    /// The fields of a list: `.It Va name : Vt type`.
    private func fields(_ section: String, _ subsection: String, _ label: String? = nil) throws -> [String] {
        try page.items(in: section, subsection).filter { label == nil || $0.label == label }.map { item in
            let head = item.head
            try #require(head.count == 5 && head[0] == "Va" && head[2] == ":" && head[3] == "Vt", "\(head)")
            #expect(!item.text.isEmpty, "\(subsection).\(head[1]) is not explained")
            return "\(head[1]): \(head[4])"
        }
    }

    @Test("has every method, with its parameters and its reply")
    func hasEveryMethod() throws {
        #expect(Set(page.subsections(of: "METHODS")) == Set(interface.methods.keys))
        for (name, method) in interface.methods {
            #expect(
                try fields("METHODS", name, "Parameters:") == method.parameters.map(Self.spell), "\(name)")
            #expect(try fields("METHODS", name, "Reply:") == method.replies.map(Self.spell), "\(name)")
        }
    }

    @Test("has every type, with its fields or words")
    func hasEveryType() throws {
        #expect(Set(page.subsections(of: "TYPES")) == Set(interface.types.keys))
        for (name, type) in interface.types {
            switch type {
            case .structure(let declared):
                #expect(try fields("TYPES", name) == declared.map(Self.spell), "\(name)")
            case .enumeration(let words):
                let items = page.items(in: "TYPES", name)
                #expect(items.map { $0.head.dropFirst().joined() }.sorted() == words.sorted(), "\(name)")
                for item in items { #expect(!item.text.isEmpty, "\(item.head) is not explained") }
            default: Issue.record("\(name) is \(type)")
            }
        }
    }

    @Test("has every error, with its fields")
    func hasEveryError() throws {
        let others = "Errors of org.varlink.service"
        #expect(
            page.subsections(of: "ERROR REPLIES").sorted() == (interface.errors.keys + [others]).sorted())
        for (name, declared) in interface.errors {
            #expect(try fields("ERROR REPLIES", name) == declared.map(Self.spell), "\(name)")
        }
    }

    @Test(
        "states the remedy for every outcome, and whether the service retries it",
        arguments: OutcomeCode.allCases)
    func statesRemedyAndRetryOfOutcomes(code: OutcomeCode) throws {
        let item = try #require(
            page.items(in: "TYPES", "OutcomeCode").first { $0.head == ["Li", code.rawValue] })
        if let remedy = code.remedy {
            #expect(item.text.hasSuffix("Remedy: \(remedy)."))
        } else {
            #expect(!item.text.contains("Remedy"))
        }
        let isRetried = RetryPolicy.isRetryable(code, status: 503)
        #expect(item.text.contains("Tried again") == isRetried)
        if isRetried, !RetryPolicy.isRetryable(code, status: 404) {
            for status in 300..<600 where RetryPolicy.isRetryable(code, status: status) {
                #expect(item.text.contains("\(status)"), "\(status) is tried again")
            }
        }
    }
}
