//! Whether the configuration's files have changed.

use std::path::PathBuf;

/// Looks whether one of the configuration's files has changed. Looking every now and then sees what watching may not:
/// files that are replaced rather than written, links that are switched (as mounted secrets are), network folders.
pub(super) struct FileWatch {
    pub(super) files: Vec<PathBuf>,
    loaded: Vec<Option<Print>>,
    last_seen: Vec<Option<Print>>,
}

/// What differs when a file does: time, size, identity.
type Print = (std::time::SystemTime, u64, u64);

impl FileWatch {
    pub(super) fn new(files: &[PathBuf]) -> FileWatch {
        let loaded = prints(files);
        FileWatch { files: files.to_vec(), last_seen: loaded.clone(), loaded }
    }

    /// True once a change has come to rest: editors write a file in several steps, and it may be gone between two.
    pub(super) fn changed(&mut self) -> bool {
        let now = prints(&self.files);
        let at_rest = now == self.last_seen && now.iter().all(Option::is_some);
        let changed = at_rest && now != self.loaded;
        self.last_seen = now;
        changed
    }
}

fn prints(files: &[PathBuf]) -> Vec<Option<Print>> {
    use std::os::unix::fs::MetadataExt;
    let print = |file: &PathBuf| {
        let metadata = std::fs::metadata(file).ok()?;
        Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
    };
    files.iter().map(print).collect()
}
