//! How much memory there is, and how much of it is in use: by the control group where it has a limit, else by what
//! the machine has, or as `--memory-limit` says.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where control groups are mounted.
const MOUNT: &str = "/sys/fs/cgroup";
/// Version 1 says so where there is no limit: a number near 2^63.
const NO_LIMIT: u64 = 1 << 60;

/// A limit with the way to measure what is in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    /// In bytes.
    pub limit: u64,
    usage: Usage,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Usage {
    /// What a group uses, without the files that can be dropped from its cache.
    Group { current: PathBuf, stat: PathBuf },
    /// What is resident of the process.
    Resident,
}

/// `--memory-limit`: bytes, or with a unit as in `512Mi`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bytes(pub u64);

impl Memory {
    /// The limit that was asked for, or what there is; `None` where nothing is known.
    pub(crate) fn find(asked: Option<Bytes>) -> Option<Self> {
        if let Some(Bytes(limit)) = asked {
            return Some(Memory { limit, usage: Usage::Resident });
        }
        let groups = read_to_string("/proc/self/cgroup").unwrap_or_default();
        of_group(Path::new(MOUNT), &groups).or_else(of_machine)
    }

    /// In use, in bytes; `None` where it cannot be read.
    pub(crate) fn used(&self) -> Option<u64> {
        match &self.usage {
            Usage::Group { current, stat } => {
                let droppable = field(&read_to_string(stat).ok()?, "inactive_file ").unwrap_or(0);
                Some(number(current)?.saturating_sub(droppable))
            }
            Usage::Resident => {
                let status = read_to_string("/proc/self/status").ok()?;
                Some(field(&status, "VmRSS:")? * 1024)
            }
        }
    }
}

/// The tightest limit of the group and those above it.
fn of_group(mount: &Path, groups: &str) -> Option<Memory> {
    let (root, group, names) = groups.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (controllers, group) = (parts.nth(1)?, parts.next()?);
        match controllers {
            "" => Some((mount.to_owned(), group, ["memory.max", "memory.current"])),
            _ if controllers.split(',').any(|name| name == "memory") => Some((
                mount.join("memory"),
                group,
                ["memory.limit_in_bytes", "memory.usage_in_bytes"],
            )),
            _ => None,
        }
    })?;
    let [limit_name, current_name] = names;
    // Inside a container its own group is often mounted as the root.
    let below = root.join(group.trim_start_matches('/'));
    let own = if below.join(current_name).exists() { below } else { root.clone() };
    let with_limit = own.ancestors().take_while(|path| path.starts_with(&root));
    let limits = with_limit.filter_map(|path| Some((number(&path.join(limit_name))?, path)));
    let (limit, path) =
        limits.filter(|(limit, _)| *limit < NO_LIMIT).min_by_key(|(limit, _)| *limit)?;
    let usage = Usage::Group { current: path.join(current_name), stat: path.join("memory.stat") };
    Some(Memory { limit, usage })
}

fn of_machine() -> Option<Memory> {
    let limit = field(&read_to_string("/proc/meminfo").ok()?, "MemTotal:")? * 1024;
    Some(Memory { limit, usage: Usage::Resident })
}

fn number(path: &Path) -> Option<u64> {
    read_to_string(path).ok()?.trim().parse().ok()
}

/// The number behind a name at the start of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let unit: u64 = match text.strip_prefix(digits) {
            Some("") => 1,
            Some("Ki") => 1 << 10,
            Some("Mi") => 1 << 20,
            Some("Gi") => 1 << 30,
            _ => 0,
        };
        let bytes = digits.parse().ok().and_then(|number: u64| number.checked_mul(unit));
        bytes.filter(|bytes| *bytes > 0).map(Bytes).ok_or_else(|| {
            format!("`{text}` is neither bytes nor a number with Ki, Mi or Gi, as in 512Mi")
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{create_dir_all, write};

    use super::*;

    #[test]
    fn sizes_are_written_as_in_kubernetes() {
        assert_eq!("512Mi".parse(), Ok(Bytes(512 << 20)));
        assert_eq!("1000".parse(), Ok(Bytes(1000)));
        for wrong in ["", "0", "12MB", "Mi", "-1", "1.5Gi", "99999999999Gi"] {
            assert!(wrong.parse::<Bytes>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_group_has_the_tightest_limit_above_it() {
        let mount = tempfile::tempdir().unwrap();
        let pod = mount.path().join("kubepods/pod");
        create_dir_all(pod.join("container")).unwrap();
        write(pod.join("container/memory.max"), "max\n").unwrap();
        write(pod.join("container/memory.current"), "1\n").unwrap();
        write(pod.join("memory.max"), "1000\n").unwrap();
        write(pod.join("memory.current"), "900\n").unwrap();
        write(pod.join("memory.stat"), "anon 600\ninactive_file 300\n").unwrap();
        let memory = of_group(mount.path(), "0::/kubepods/pod/container\n").unwrap();
        assert_eq!((memory.limit, memory.used()), (1000, Some(600)));
    }

    #[test]
    fn version_1_has_names_of_its_own() {
        let mount = tempfile::tempdir().unwrap();
        let group = mount.path().join("memory");
        create_dir_all(&group).unwrap();
        let groups = "5:cpu,cpuacct:/x\n4:memory:/docker/x\n";
        write(group.join("memory.limit_in_bytes"), "9223372036854771712\n").unwrap();
        assert_eq!(of_group(mount.path(), groups), None);
        write(group.join("memory.limit_in_bytes"), "2000\n").unwrap();
        write(group.join("memory.usage_in_bytes"), "500\n").unwrap();
        write(group.join("memory.stat"), "inactive_file 100\n").unwrap();
        let memory = of_group(mount.path(), groups).unwrap();
        assert_eq!((memory.limit, memory.used()), (2000, Some(400)));
    }

    #[test]
    fn what_is_resident_is_something() {
        let memory = Memory::find(Some(Bytes(1 << 30))).unwrap();
        assert!(memory.used().unwrap() > 100_000);
    }
}
