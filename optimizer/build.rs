//! Names the build: a hash of everything that machine code and its tables rely on. Code made by another build is not loaded.
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

fn main() {
    let here =
        PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the package is"));
    // The packages on which this one rests stand beside it, or are those of its version.
    let folders = [here.join("src"), here.join("../ir/src"), here.join("../deopt/src")];
    let mut hasher = DefaultHasher::new();
    std::env::var_os("CARGO_PKG_VERSION").hash(&mut hasher);
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        println!("cargo:rerun-if-changed={}", folder.display());
        hash_folder(folder, &mut hasher);
    }
    println!("cargo:rustc-env=SURMISE_BUILD={:016x}", hasher.finish());
}

/// Names and contents of all files, in the order of their names.
fn hash_folder(folder: &Path, hasher: &mut DefaultHasher) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            hash_folder(&path, hasher);
        } else if let Ok(content) = std::fs::read(&path) {
            path.file_name().hash(hasher);
            content.hash(hasher);
        }
    }
}
