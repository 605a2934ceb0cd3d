//! The systemd unit.

use super::root;

/// The last value of a key, as systemd takes it.
fn value<'a>(unit: &'a str, key: &str) -> &'a str {
    let mut lines = unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    lines.next_back().unwrap_or_else(|| panic!("no {key}"))
}

#[test]
fn the_unit_fits_the_gateway() {
    let unit = std::fs::read_to_string(root().join("deploy/systemd/portcullis.service")).unwrap();
    for (key, wanted) in [
        ("Type", "notify"),
        ("NotifyAccess", "all"),
        ("KillSignal", "SIGTERM"),
        ("KillMode", "control-group"),
        ("ExecReload", "/bin/kill -HUP $MAINPID"),
        ("AmbientCapabilities", "CAP_NET_BIND_SERVICE"),
        ("CapabilityBoundingSet", "CAP_NET_BIND_SERVICE"),
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("StateDirectoryMode", "0700"),
    ] {
        assert_eq!(value(&unit, key), wanted, "{key}");
    }
    // Plugins are machine code that is made while it runs.
    assert!(!unit.contains("\nMemoryDenyWriteExecute"));
    // The defaults of --drain-delay and --drain-timeout.
    assert!(value(&unit, "TimeoutStopSec").parse::<u32>().unwrap() > 30 + 90);
    assert!(value(&unit, "LimitNOFILE").parse::<u32>().unwrap() >= 2 * 50_000);
    let start: Vec<&str> = value(&unit, "ExecStart").split(' ').skip(1).collect();
    let directories = ["--config", "/etc/portcullis", "--state-dir", "/var/lib/portcullis"];
    assert_eq!(start[0], "serve");
    assert_eq!(start[1..], directories);
    assert_eq!(value(&unit, "StateDirectory"), "portcullis");
}
