/// The options that every subcommand has may stand in front of it, as systemctl(1) has accustomed people to.
public enum OptionOrder {
    /// Moves them behind the subcommand, where the parser looks for them.
    ///
    /// - Parameter arguments: without the program's name.
    /// - Returns: the same arguments; where something else comes first, in the same order.
    public static func subcommandFirst(_ arguments: [String]) -> [String] {
        var moved: [String] = []
        var rest = arguments[...]
        while let first = rest.first {
            if first == "--socket", rest.count >= 2 {
                moved += rest.prefix(2)
                rest = rest.dropFirst(2)
            } else if first.hasPrefix("--socket=") || first == "--json" {
                moved.append(first)
                rest = rest.dropFirst()
            } else {
                break
            }
        }
        guard let subcommand = rest.first, !moved.isEmpty, !subcommand.hasPrefix("-") else {
            return arguments
        }
        return [subcommand] + moved + rest.dropFirst()
    }
}
