//! What the gateway's process uses: its memory and its descriptors, as the kernel counts them.

use std::fs;

use super::gateway::Gateway;

/// Memory in use now.
pub fn resident_bytes(gateway: &Gateway) -> u64 {
    memory_bytes(gateway, "VmRSS:")
}

/// The most memory that was ever in use, since [`forget_peak`].
pub fn peak_bytes(gateway: &Gateway) -> u64 {
    memory_bytes(gateway, "VmHWM:")
}

/// Lets the peak begin at what is in use now. See proc(5), `clear_refs`.
pub fn forget_peak(gateway: &Gateway) {
    fs::write(format!("/proc/{}/clear_refs", gateway.pid()), "5").expect("the process is ours");
}

/// Open files, sockets among them.
pub fn descriptors(gateway: &Gateway) -> usize {
    fs::read_dir(format!("/proc/{}/fd", gateway.pid())).expect("the process is ours").count()
}

fn memory_bytes(gateway: &Gateway, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", gateway.pid())).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("the kernel counts it");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib * 1024
}
