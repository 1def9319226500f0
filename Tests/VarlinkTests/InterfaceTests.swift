import Testing

@testable import Varlink

@Suite("The parser of interface descriptions") struct InterfaceTests {
    @Test(
        "accepts what the language allows",
        arguments: [
            "interface a.b\nmethod M() -> ()",
            "interface org.example-x.y2\n\n# words\nmethod M(a: int) -> (b: ?[]string)\n",
            "  # first\ninterface a.b # here\ntype T (a: bool, b: (one, two), c: [string](), d: ?[string]?[]T)\r\n",
            "interface a.b\ntype Colour (red, dark_green)\nerror E (colour: Colour)",
            "interface a.b\nerror E ()",
            "interface a.b\nmethod M(\n a: (x: int,\n y: float)\n)\n -> (o: object)",
        ])
    func acceptsWhatTheLanguageAllows(text: String) throws {
        #expect(try InterfaceDescription(text).text == text)
    }

    @Test(
        "says what is wrong and where",
        arguments: [
            ("", 1, "expected “interface”"),
            ("interface single\nerror E ()", 1, "name of an interface"),
            ("interface a.-b\nerror E ()", 1, "name of an interface"),
            ("interface a.b", 1, "declares nothing"),
            ("interface a.b\nmethod m() -> ()", 2, "capital letter"),
            ("interface a.b\nmethod M() ()", 2, "expected “->”"),
            ("interface a.b\nmethod M() -> (a, b)", 2, "enumeration"),
            ("interface a.b\nmethod M(a: int b: int) -> ()", 2, "expected “)”"),
            ("interface a.b\nmethod M(a: int, b) -> ()", 2, "“b” has no type"),
            ("interface a.b\nmethod M(a, b: int) -> ()", 2, "expected “)”"),
            ("interface a.b\nmethod M(a: int, a: int) -> ()", 2, "twice"),
            ("interface a.b\nmethod M(a: int,) -> ()", 2, "name of a field"),
            ("interface a.b\nmethod M(_a: int) -> ()", 2, "name of a field"),
            ("interface a.b\nmethod M(a__b: int) -> ()", 2, "name of a field"),
            ("interface a.b\nmethod M(a: ??int) -> ()", 2, "“??”"),
            ("interface a.b\nmethod M(a: integer) -> ()", 2, "“integer” is no type"),
            ("interface a.b\nmethod M(a: any) -> ()", 2, "“any” is no type"),
            ("interface a.b\n\nmethod M(a: T) -> ()", 3, "“T” is not declared"),
            ("interface a.b\nerror M ()\nmethod M() -> ()", 3, "declared twice"),
            ("interface a.b\nerror E () error F ()", 2, "line of its own"),
            ("interface a.b\nmember M ()", 2, "expected “type”"),
            ("interface a.b\nmethod M(a: [int]int) -> ()", 2, "“[” has no meaning"),
            ("interface a.b\nmethod M(a: int", 2, "the end of the text"),
            ("interface a.b\nerror É ()", 2, "has no meaning"),
        ])
    func reportsErrorAndItsLine(text: String, line: Int, reason: String) {
        let error = #expect(throws: InterfaceDescriptionError.self) { try InterfaceDescription(text) }
        #expect(error?.line == line)
        #expect(error?.reason.contains(reason) == true, "\(error?.reason ?? "")")
    }

    @Test("gives names, fields and types")
    func givesNamesFieldsAndTypes() throws {
        let description = try InterfaceDescription(
            "interface a.b\ntype T (x: int)\nmethod M(t: ?[]T) -> (s: [string]())\nerror E (c: (one, two))")
        #expect(description.name == "a.b")
        #expect(description.types == ["T": .structure([VarlinkField(name: "x", type: .int)])])
        let method = try #require(description.methods["M"])
        #expect(method.parameters == [VarlinkField(name: "t", type: .optional(.array(.named("T"))))])
        #expect(method.replies == [VarlinkField(name: "s", type: .dictionary(.structure([])))])
        #expect(description.errors == ["E": [VarlinkField(name: "c", type: .enumeration(["one", "two"]))]])
    }

    @Test(
        "finds the field that is not declared, at any depth",
        arguments: [
            (["a": 1], nil), (["b": 1], "b"), (["t": ["x": 1]], nil), (["t": ["y": 1]], "t.y"),
            (["l": [["x": 1], ["x": 1, "z": 1]]], "l.1.z"), (["d": ["any key": ["q": 1]]], "d.any key.q"),
            (["a": 1.5], "a"), (["o": ["whatever": 1.5]], nil), (["t": "of another type"], nil), (nil, nil),
        ] as [(JSONValue, String?)])
    func findsUndeclaredFieldAtAnyDepth(value: JSONValue, path: String?) throws {
        let description = try InterfaceDescription(
            "interface a.b\ntype T (x: int)\nmethod M(a: int, t: ?T, l: []T, d: [string]T, o: object) -> ()")
        let method = try #require(description.methods["M"])
        #expect(description.invalidField(in: value, declared: method.parameters) == path)
    }
}
