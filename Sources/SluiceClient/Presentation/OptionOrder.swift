/// Options that every subcommand has may stand before the subcommand, as users of systemctl(1) expect.
public enum OptionOrder {
    /// Moves such options behind the subcommand, where the parser expects them.
    ///
    /// - Parameter arguments: without the program's name.
    /// - Returns: the same arguments. Where any other argument comes first, the order is unchanged.
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
