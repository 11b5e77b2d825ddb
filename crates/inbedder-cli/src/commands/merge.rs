//! `inbedder merge`: the outputs of `embed --shard 1/n` … `n/n` as the one that `embed` alone would
//! have written, rows in the order of the input.

use crate::args::MergeArgs;
use crate::error::{Error, Result};
use crate::output::{Format, Pairs, Target, jsonl, parquet};
use std::path::{Path, PathBuf};

pub(crate) fn run(args: &MergeArgs) -> Result<()> {
    let target = Target::check(&args.output, false, args.force)?;
    let read = match target.format {
        Format::Parquet => parquet::metadata,
        Format::Jsonl => jsonl::metadata,
        Format::Npy | Format::Safetensors => {
            let problem = "only .parquet and .jsonl (also .gz and .zst) outputs can be merged";
            return Err(Error::output(&args.output, problem));
        }
    };
    let mut shards = Vec::new();
    for path in &args.parts {
        shards.push(Shard::new(path, read(path)?)?);
    }
    shards.sort_by_key(|shard| shard.index);
    check(&shards)?;
    let (paths, metadata): (Vec<_>, Vec<_>) = shards
        .into_iter()
        .map(|shard| (shard.path, shard.metadata))
        .unzip();
    let Some(metadata) = metadata.into_iter().next() else {
        return Err(Error::Usage("nothing to merge".to_string()));
    };
    match target.format {
        Format::Parquet => parquet::merge(&paths, &metadata, target.begin(None)?),
        _ => jsonl::merge(&paths, &metadata, target.begin(None)?),
    }
}

/// One of the outputs to join.
struct Shard {
    path: PathBuf,
    index: usize,
    count: usize,
    /// Without the shard, with it as null: the metadata of the whole.
    metadata: Pairs,
}

impl Shard {
    fn new(path: &Path, mut metadata: Pairs) -> Result<Self> {
        let shard = metadata.insert("shard".to_string(), "null".to_string());
        let parsed = shard.and_then(|text| text.parse::<crate::args::Shard>().ok());
        let Some(shard) = parsed else {
            let problem = "is no part of a job: it was not made with --shard";
            return Err(Error::input(path, 0, problem));
        };
        Ok(Self {
            path: path.to_path_buf(),
            index: shard.index,
            count: shard.count,
            metadata,
        })
    }
}

/// Every shard of one job once.
fn check(shards: &[Shard]) -> Result<()> {
    let Some(first) = shards.first() else {
        return Ok(());
    };
    for shard in shards {
        if shard.count != first.count {
            let problem = format!(
                "is one of {} parts, {} one of {}",
                shard.count,
                first.path.display(),
                first.count
            );
            return Err(Error::input(&shard.path, 0, problem));
        }
        let differs = shard
            .metadata
            .iter()
            .find(|(name, value)| first.metadata.get(*name) != Some(value));
        if let Some((name, value)) = differs {
            let there = first.metadata.get(name).map_or("nothing", String::as_str);
            let problem = format!(
                "is of another job than {}: {name} is {value} here and {there} there",
                first.path.display()
            );
            return Err(Error::input(&shard.path, 0, problem));
        }
    }
    if let Some(pair) = shards
        .windows(2)
        .find(|pair| pair[0].index == pair[1].index)
    {
        let problem = format!(
            "is part {} again, as {} is",
            pair[1].index,
            pair[0].path.display()
        );
        return Err(Error::input(&pair[1].path, 0, problem));
    }
    let missing = (1..=first.count).find(|index| shards.iter().all(|shard| shard.index != *index));
    match missing {
        Some(index) => Err(Error::Usage(format!(
            "part {index}/{} is missing: make it with embed --shard {index}/{}",
            first.count, first.count
        ))),
        None => Ok(()),
    }
}
