//! Embeddings kept by content: what was read once is not read again, by the next run, the next task, or
//! the same run after an interruption.
//!
//! A folder per setting (named by the hash of `setting.json` inside: model, template, readout, layer, …),
//! in it segments, written whole under a temporary name and renamed. A segment is `INBEDDER`, the number
//! of vectors n and their length as two little-endian u32, n keys of 16 bytes (a hash of text and
//! instruction), n vectors of little-endian f32. Only keys are held in memory. A segment that is cut off
//! is an error and not a miss: something else is wrong then.

use crate::matrix::Matrix;
use crate::prompts::hex;
use crate::{Error, Result};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"INBEDDER";
const HEADER: u64 = 16;

/// A prompt's hash.
pub(crate) type Key = [u8; 16];

/// The vectors of one setting.
pub(crate) struct Cache {
    folder: PathBuf,
    segments: Vec<Segment>,
    places: HashMap<Key, (usize, usize)>,
    dim: usize,
}

struct Segment {
    path: PathBuf,
    count: usize,
}

impl Cache {
    /// The vectors of a setting, each `dim` long, as far as they are there.
    ///
    /// # Errors
    /// A folder that cannot be made or read, a damaged segment.
    pub(crate) fn open(root: &Path, setting: &Value, dim: usize) -> Result<Self> {
        let text = serde_json::to_string_pretty(setting).unwrap_or_default();
        let folder = root.join(&hex(&Sha256::digest(&text))[..16]);
        std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        let described = folder.join("setting.json");
        if !described.exists() {
            write(&described, text.as_bytes())?;
        }
        let mut cache = Self {
            folder: folder.clone(),
            segments: Vec::new(),
            places: HashMap::new(),
            dim,
        };
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(Error::io(&folder))? {
            let path = entry.map_err(Error::io(&folder))?.path();
            if path.extension().is_some_and(|ending| ending == "vectors") {
                paths.push(path);
            }
        }
        paths.sort();
        for path in paths {
            let keys = cache.keys(&path)?;
            cache.enter(path, &keys);
        }
        Ok(cache)
    }

    fn keys(&self, path: &Path) -> Result<Vec<Key>> {
        let damaged = |problem: &str| Error::Cache {
            path: path.to_path_buf(),
            problem: problem.to_string(),
        };
        let mut file = File::open(path).map_err(Error::io(path))?;
        let length = file.metadata().map_err(Error::io(path))?.len();
        let mut header = [0; HEADER as usize];
        let read = file.read_exact(&mut header);
        read.map_err(|_| damaged("is cut off"))?;
        let number = |at: usize| {
            let bytes = [header[at], header[at + 1], header[at + 2], header[at + 3]];
            u32::from_le_bytes(bytes) as usize
        };
        let (count, dim) = (number(8), number(12));
        if header[..8] != MAGIC[..] || dim != self.dim {
            return Err(damaged("is no segment of this setting"));
        }
        if length != HEADER + count as u64 * (16 + 4 * dim as u64) {
            return Err(damaged("is cut off"));
        }
        let mut bytes = vec![0; count * 16];
        file.read_exact(&mut bytes).map_err(Error::io(path))?;
        let (keys, _) = bytes.as_chunks::<16>();
        Ok(keys.to_vec())
    }

    fn enter(&mut self, path: PathBuf, keys: &[Key]) {
        let segment = self.segments.len();
        for (row, key) in keys.iter().enumerate() {
            self.places.insert(*key, (segment, row));
        }
        let count = keys.len();
        self.segments.push(Segment { path, count });
    }

    pub(crate) fn holds(&self, key: &Key) -> bool {
        self.places.contains_key(key)
    }

    /// Keeps vectors, `[key][dim]`.
    pub(crate) fn put(&mut self, keys: &[Key], vectors: &[f32]) -> Result<()> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend((keys.len() as u32).to_le_bytes());
        bytes.extend((self.dim as u32).to_le_bytes());
        bytes.extend(keys.iter().flatten());
        bytes.extend(vectors.iter().flat_map(|value| value.to_le_bytes()));
        // Named by the keys: two runs at a time write the same file.
        let name = hex(&Sha256::digest(keys.concat())[..12]);
        let path = self.folder.join(format!("{name}.vectors"));
        write(&path, &bytes)?;
        self.enter(path, keys);
        Ok(())
    }

    /// The vectors of some keys, which are all there.
    ///
    /// # Errors
    /// A segment that cannot be read any more.
    pub(crate) fn get(&self, keys: &[Key]) -> Result<Matrix> {
        let mut data = vec![0.0; keys.len() * self.dim];
        let mut wanted: Vec<(usize, usize, usize)> = Vec::with_capacity(keys.len());
        for (i, key) in keys.iter().enumerate() {
            let (segment, row) = self.places.get(key).copied().ok_or_else(|| Error::Cache {
                path: self.folder.clone(),
                problem: "a vector is not there although it was made".to_string(),
            })?;
            wanted.push((segment, row, i));
        }
        wanted.sort_unstable();
        let mut bytes = vec![0; 4 * self.dim];
        for part in wanted.chunk_by(|a, b| a.0 == b.0) {
            let Segment { path, count } = &self.segments[part[0].0];
            let mut file = File::open(path).map_err(Error::io(path))?;
            for (_, row, i) in part {
                let at = HEADER + (*count * 16 + row * bytes.len()) as u64;
                file.seek(SeekFrom::Start(at)).map_err(Error::io(path))?;
                file.read_exact(&mut bytes).map_err(Error::io(path))?;
                let vector = &mut data[i * self.dim..][..self.dim];
                for (value, bytes) in vector.iter_mut().zip(bytes.as_chunks::<4>().0) {
                    *value = f32::from_le_bytes(*bytes);
                }
            }
        }
        Ok(Matrix {
            data,
            dim: self.dim,
        })
    }
}

/// Writes a file under a temporary name and renames it.
///
/// # Errors
/// A folder or disk that does not take it.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .suffix(".part")
        .tempfile_in(folder)
        .map_err(Error::io(path))?;
    file.write_all(bytes).map_err(Error::io(path))?;
    usual_mode(file.as_file()).map_err(Error::io(path))?;
    file.persist(path)
        .map_err(|failed| Error::io(path)(failed.error))?;
    Ok(())
}

/// Temporary files are readable by their owner alone; results are for whom the folder is for.
#[cfg(unix)]
fn usual_mode(file: &File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn usual_mode(_file: &File) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_put_is_there_for_the_next_one_of_the_same_setting() {
        let root = tempfile::tempdir().unwrap();
        let setting = json!({"model": "a"});
        let mut cache = Cache::open(root.path(), &setting, 2).unwrap();
        cache
            .put(&[[1; 16], [2; 16]], &[1.0, 2.0, 3.0, 4.0])
            .unwrap();
        cache.put(&[[3; 16]], &[5.0, 6.0]).unwrap();
        let again = Cache::open(root.path(), &setting, 2).unwrap();
        let keys = [[3; 16], [1; 16], [3; 16]];
        let expected = [5.0, 6.0, 1.0, 2.0, 5.0, 6.0];
        assert_eq!(again.get(&keys).unwrap().data, expected);
        assert!(again.holds(&[2; 16]) && !again.holds(&[4; 16]));
        let other = Cache::open(root.path(), &json!({"model": "b"}), 2).unwrap();
        assert!(!other.holds(&[1; 16]));
    }

    #[test]
    fn a_segment_that_is_cut_off_is_named() {
        let root = tempfile::tempdir().unwrap();
        let mut cache = Cache::open(root.path(), &json!(1), 2).unwrap();
        cache.put(&[[1; 16]], &[1.0, 2.0]).unwrap();
        let path = cache.segments[0].path.clone();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        let error = Cache::open(root.path(), &json!(1), 2).err().unwrap();
        assert!(error.to_string().contains("cut off"), "{error}");
    }
}
