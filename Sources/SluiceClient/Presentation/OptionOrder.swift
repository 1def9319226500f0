/// Options that every subcommand has may stand before the subcommand, as users of systemctl(1) expect.
public enum OptionOrder {
    /// Moves such options behind the subcommand, where the parser expects them.
    ///
    /// - Parameters:
    ///   - arguments: without the program's name.
    ///   - subcommands: those that there are.
    /// - Returns: the same arguments. Where any other argument comes first, the order is unchanged. Where the subcommand is
    ///   none of those, it alone, because the parser would otherwise report the option.
    public static func subcommandFirst(_ arguments: [String], of subcommands: Set<String>) -> [String] {
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
        guard subcommands.contains(subcommand) else { return [subcommand] }
        return [subcommand] + moved + rest.dropFirst()
    }
}
