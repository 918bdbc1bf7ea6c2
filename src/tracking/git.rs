//! The commit that a folder is at, read from `.git`: git itself need not be there.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// No file that is read here is larger but for the list of packed references.
const MAX_BYTES: u64 = 4 << 20;

/// The commit that the working folder `folder`, or the nearest above it that is one, has checked out.
pub fn commit_of(folder: &Path) -> Option<String> {
    let git = folder.ancestors().find_map(|above| git_folder(&above.join(".git")))?;
    let head = read(&git.join("HEAD"))?;
    match head.strip_prefix("ref:") {
        None => commit(&head),
        Some(name) => resolve(&git, name.trim()),
    }
}

/// `.git` is a folder, or a file that says where it is: in a linked worktree, and of a submodule.
fn git_folder(path: &Path) -> Option<PathBuf> {
    if path.is_dir() {
        return path.join("HEAD").is_file().then(|| path.to_owned());
    }
    let text = read(path)?;
    let place = text.strip_prefix("gitdir:")?.trim();
    Some(path.parent()?.join(place))
}

/// What the reference `name` points to. Those of a linked worktree lie in the folder that all share.
fn resolve(git: &Path, name: &str) -> Option<String> {
    let is_name = name.starts_with("refs/") && !name.split('/').any(|part| part.is_empty() || part == "..");
    if !is_name {
        return None;
    }
    let shared = read(&git.join("commondir")).map(|place| git.join(place.trim()));
    let places: Vec<&Path> = [Some(git), shared.as_deref()].into_iter().flatten().collect();
    let loose = places.iter().find_map(|place| commit(&read(&place.join(name))?));
    loose.or_else(|| places.iter().find_map(|place| packed(&read(&place.join("packed-refs"))?, name)))
}

fn packed(list: &str, name: &str) -> Option<String> {
    list.lines().find_map(|line| {
        let (digits, of) = line.split_once(' ')?;
        if of.trim() == name { commit(digits) } else { None }
    })
}

/// 40 digits of SHA-1, or 64 of SHA-256.
fn commit(text: &str) -> Option<String> {
    let digits = text.trim();
    let is_commit = [40, 64].contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_commit.then(|| digits.to_owned())
}

fn read(path: &Path) -> Option<String> {
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    File::open(path).ok()?.take(MAX_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "1111111111111111111111111111111111111111";
    const TWO: &str = "2222222222222222222222222222222222222222";

    fn write(root: &Path, files: &[(&str, &str)]) {
        for (name, text) in files {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    #[test]
    fn the_commit_is_that_of_the_branch_loose_or_packed_or_of_a_detached_head() {
        let root = tempfile::tempdir().unwrap();
        let below = root.path().join("a/b");
        fs::create_dir_all(&below).unwrap();
        assert_eq!(commit_of(&below), None);
        let packed = format!("# pack-refs with: peeled\n{TWO} refs/heads/main\n^{ONE}\n{ONE} refs/heads/x\n");
        write(root.path(), &[(".git/HEAD", "ref: refs/heads/main\n"), (".git/packed-refs", &packed)]);
        assert_eq!(commit_of(&below).as_deref(), Some(TWO));
        write(root.path(), &[(".git/refs/heads/main", &format!("{ONE}\n"))]);
        assert_eq!(commit_of(&below).as_deref(), Some(ONE));
        write(root.path(), &[(".git/HEAD", TWO)]);
        assert_eq!(commit_of(root.path()).as_deref(), Some(TWO));
    }

    #[test]
    fn a_linked_worktree_has_the_branches_of_its_repository() {
        let root = tempfile::tempdir().unwrap();
        write(
            root.path(),
            &[
                ("main/.git/HEAD", "ref: refs/heads/main\n"),
                ("main/.git/refs/heads/other", ONE),
                ("main/.git/worktrees/w/HEAD", "ref: refs/heads/other\n"),
                ("main/.git/worktrees/w/commondir", "../..\n"),
                ("w/.git", "gitdir: ../main/.git/worktrees/w\n"),
            ],
        );
        assert_eq!(commit_of(&root.path().join("w")).as_deref(), Some(ONE));
        assert_eq!(commit_of(&root.path().join("main")), None, "a branch without a commit");
    }

    #[test]
    fn what_is_no_commit_is_none() {
        let root = tempfile::tempdir().unwrap();
        for head in ["", "ref: refs/../../secret", "ref: ", "main", "ref: /etc/passwd", "1234"] {
            write(root.path(), &[(".git/HEAD", head), ("secret", ONE)]);
            assert_eq!(commit_of(root.path()), None, "{head:?}");
        }
    }
}
