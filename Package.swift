// swift-tools-version: 6.1
import PackageDescription

/// Swift 6 mode comes with the tools version; these are the switches beyond it.
let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .unsafeFlags(["-warnings-as-errors"]),
]

/// Where `make install` puts the Swift runtime: seen from bin and from libexec/sluice.
let runtime: [LinkerSetting] = [
    .unsafeFlags(["../lib/sluice", "../../lib/sluice"].flatMap { ["-Xlinker", "-rpath=$ORIGIN/\($0)"] })
]

/// Foundation's library must find these functions of CCurlShim before libcurl's.
let shimmed = [
    "curl_easy_cleanup", "curl_easy_getinfo", "curl_easy_setopt", "curl_multi_add_handle",
    "curl_multi_info_read", "curl_multi_setopt", "curl_multi_socket_action", "curl_url_get",
]

let system: Target.Dependency = .product(name: "SystemPackage", package: "swift-system")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

func tests(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .testTarget(
        name: "\(name)Tests", dependencies: [.target(name: name), "TestKit", system] + dependencies,
        path: "Tests/\(name)Tests", swiftSettings: strict)
}

let package = Package(
    name: "sluice",
    products: [
        .executable(name: "sluiced", targets: ["sluiced"]),
        .executable(name: "sluice-lane", targets: ["sluice-lane"]),
        .executable(name: "sluicectl", targets: ["sluicectl"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-system", exact: "1.8.1"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
        .package(url: "https://github.com/LebJe/TOMLKit", exact: "0.6.0"),
        .package(url: "https://github.com/apple/swift-http-structured-headers", exact: "1.7.0"),
    ],
    targets: [
        .systemLibrary(
            name: "CSystemd", pkgConfig: "libsystemd", providers: [.apt(["libsystemd-dev"])]),
        .systemLibrary(name: "CCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CIdn2", pkgConfig: "libidn2", providers: [.apt(["libidn2-dev"])]),
        .target(name: "CUnix"),
        .target(name: "CDispatchYield"),
        .target(name: "CCurlShim"),
        .target(name: "Unix", dependencies: ["CUnix", system], swiftSettings: strict),
        .target(name: "EventLoop", dependencies: ["CUnix", "Unix", system], swiftSettings: strict),
        .target(
            name: "Systemd", dependencies: ["CSystemd", "CUnix", "Unix", logging, system],
            swiftSettings: strict),
        .target(
            name: "Varlink", dependencies: ["EventLoop", "Unix", system], swiftSettings: strict),
        .target(name: "SluiceInterface", dependencies: ["Varlink"], swiftSettings: strict),
        .target(
            name: "SluiceCore",
            dependencies: [
                "CIdn2", "CUnix", "SluiceInterface",
                .product(name: "RawStructuredFieldValues", package: "swift-http-structured-headers"),
            ], swiftSettings: strict),
        .target(
            name: "LaneProtocol", dependencies: ["SluiceCore", "SluiceInterface", "Unix"],
            swiftSettings: strict),
        .target(
            name: "SluiceLane",
            dependencies: [
                "CCrypto", "CCurlShim", "CDispatchYield", "CUnix", "EventLoop", "LaneProtocol", "Unix",
                "SluiceCore", system,
            ],
            swiftSettings: strict),
        .target(
            name: "SluiceDaemon",
            dependencies: [
                "CUnix", "EventLoop", "LaneProtocol", "Unix", "Systemd", "Varlink", "SluiceInterface",
                "SluiceCore", logging, system,
                .product(name: "TOMLKit", package: "TOMLKit"),
            ], swiftSettings: strict),
        .target(
            name: "SluiceClient",
            dependencies: ["CUnix", "Unix", "Varlink", "SluiceInterface", system],
            swiftSettings: strict),
        .executableTarget(
            name: "sluiced",
            dependencies: [
                "EventLoop", "SluiceDaemon", "SluiceCore", "SluiceInterface", "Systemd", "Unix",
                arguments, logging, system,
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ], swiftSettings: strict, linkerSettings: runtime),
        .executableTarget(
            name: "sluice-lane", dependencies: ["CCurlShim", "SluiceLane", "Unix"],
            swiftSettings: strict,
            linkerSettings: runtime + [
                .unsafeFlags(shimmed.flatMap { ["-Xlinker", "--export-dynamic-symbol=\($0)"] })
            ]),
        .executableTarget(
            name: "sluicectl",
            dependencies: [
                "SluiceClient", "SluiceCore", "SluiceInterface", "Unix", "Varlink", arguments, system,
            ],
            swiftSettings: strict, linkerSettings: runtime),

        .target(
            name: "CTestKit", path: "Tests/CTestKit",
            // The pattern generator has to keep up with a pipe in debug builds too.
            cSettings: [.unsafeFlags(["-O2"])]),
        .target(
            name: "TestKit", dependencies: ["CTestKit", "CUnix", "Unix", system],
            path: "Tests/TestKit",
            swiftSettings: strict),
        tests("Unix", ["CTestKit", "CUnix", "facts-probe", "systemd-probe"]),
        tests("EventLoop", ["Unix"]),
        .executableTarget(
            name: "systemd-probe", dependencies: ["CUnix", "Systemd", "Unix", logging, system],
            path: "Tests/SystemdProbe", swiftSettings: strict),
        tests("Systemd", ["CUnix", "Unix", "systemd-probe", logging]),
        tests("Varlink", ["EventLoop", "Unix", "varlink-certification"]),
        .executableTarget(
            name: "varlink-certification", dependencies: ["EventLoop", "Unix", "Varlink"],
            path: "Tests/VarlinkCertification", swiftSettings: strict),
        tests("SluiceInterface", ["Varlink"]),
        tests("SluiceCore", ["LaneProtocol", "SluiceInterface", "Unix"]),
        tests("LaneProtocol", ["SluiceCore", "SluiceInterface", "Unix"]),
        // In C: it makes the system calls that nothing else here makes.
        .executableTarget(name: "escape-probe", dependencies: ["CUnix"], path: "Tests/EscapeProbe"),
        tests(
            "SluiceLane",
            [
                "CUnix", "LaneProtocol", "SluiceCore", "Unix", "EventLoop", "sluice-lane",
                "escape-probe",
            ]),
        .executableTarget(
            name: "store-probe", dependencies: ["SluiceDaemon", "SluiceInterface", system],
            path: "Tests/StoreProbe", swiftSettings: strict),
        tests(
            "SluiceDaemon",
            [
                "store-probe", "LaneProtocol", "SluiceCore", "Unix", "EventLoop", "SluiceInterface",
                "Varlink", logging,
            ]),
        .target(name: "CFactsProbe", path: "Tests/CFactsProbe"),
        tests(
            "SluiceClient",
            ["CTestKit", "CUnix", "EventLoop", "Unix", "SluiceInterface", "Varlink", "sluicectl"]),
        .executableTarget(
            name: "facts-probe", dependencies: ["CFactsProbe", "CTestKit", "CUnix"], path: "Tests/FactsProbe",
            swiftSettings: strict,
            // It takes libcurl's curl_easy_init over, for which it has to export its own.
            linkerSettings: [.unsafeFlags(["-Xlinker", "--export-dynamic"])]),
        .testTarget(
            name: "FactsTests", dependencies: ["TestKit", "CUnix", "Unix", "facts-probe", system],
            swiftSettings: strict),
        .testTarget(
            name: "ManTests",
            dependencies: [
                "TestKit", "SluiceCore", "SluiceDaemon", "SluiceInterface", "Varlink", "sluicectl", "sluiced",
            ], swiftSettings: strict),
        .testTarget(
            name: "IntegrationTests",
            dependencies: [
                "TestKit", "CTestKit", "LaneProtocol", "SluiceClient", "SluiceCore", "SluiceInterface",
                "Unix",
                "Varlink", system, "sluiced", "sluice-lane", "sluicectl",
            ],
            swiftSettings: strict),
    ]
)

// Only `make docs` needs it; other builds do not fetch it.
if Context.environment["SLUICE_DOCC"] != nil {
    package.dependencies.append(
        .package(url: "https://github.com/swiftlang/swift-docc-plugin", exact: "1.5.0"))
}
