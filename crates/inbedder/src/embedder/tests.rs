//! What a caller is promised: a result depends on its text, its question and the settings alone.

use super::*;
use crate::{Normalize, Readout};
use proptest::prelude::*;
use std::sync::OnceLock;

fn files() -> ModelFiles {
    let folder =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/llama/gqa_tied");
    ModelFiles::Folder {
        config: folder.join("config.json"),
        tokenizer: folder.join("tokenizer.json"),
        weights: vec![folder.join("model.safetensors")],
    }
}

fn embedder(threads: usize) -> &'static Embedder {
    static ONE: OnceLock<Embedder> = OnceLock::new();
    static THREE: OnceLock<Embedder> = OnceLock::new();
    let cell = if threads == 1 { &ONE } else { &THREE };
    let options = LoadOptions {
        threads,
        ..LoadOptions::default()
    };
    cell.get_or_init(|| Embedder::from_files("tiny", &files(), &options).unwrap())
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    // Few letters and some long texts: shared beginnings, equal texts, prompts over the budget.
    proptest::collection::vec("[ab ]{0,12}|[a-c]{150,260}", 1..9)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn neither_grouping_nor_order_nor_budget_nor_threads_change_a_result(
        texts in texts(),
        questions in proptest::sample::subsequence(vec!["What?", "Why?", "What is it?"], 1..=3),
        token_budget in 1usize..700,
        threads in prop_oneof![Just(1), Just(3)],
        readout in prop_oneof![Just(Readout::FstGen), Just(Readout::AvgPpt)],
        rotate in 0usize..9,
    ) {
        let mut request = Request::new(questions.iter().map(|q| q.to_string()).collect());
        request.readout = Some(readout);
        request.max_tokens = 200;
        request.answer_tokens = Some(3);
        request.token_budget = token_budget;
        let order: Vec<usize> = (0..texts.len()).map(|i| (i + rotate) % texts.len()).collect();
        let turned: Vec<&str> = order.iter().map(|i| texts[*i].as_str()).collect();
        let together = embedder(threads).run(&turned, &request, &()).unwrap();
        let dim = together.dim;
        prop_assert_eq!(together.stats.prompts, texts.len() * questions.len());

        for (t, text) in turned.iter().enumerate() {
            for (q, question) in questions.iter().enumerate() {
                let at = t * questions.len() + q;
                let mut request = request.clone();
                request.questions = vec![question.to_string()];
                request.token_budget = 1024;
                let alone = embedder(1).run(&[text], &request, &()).unwrap();
                let close = cosine(&together.embeddings[at * dim..][..dim], &alone.embeddings);
                prop_assert!(close >= 0.999_999, "cosine {close} of {text:?} under {question:?}");
                prop_assert_eq!(&together.answers[at], &alone.answers[0]);
            }
        }
    }
}

#[test]
fn cut_prompts_are_counted_and_shared_beginnings_are_read_once() {
    let request = Request {
        max_tokens: 80,
        ..Request::new(vec!["Who?".into(), "Why?".into()])
    };
    let texts = ["short", "short", &"long ".repeat(40)];
    let stats = embedder(1).run(&texts, &request, &()).unwrap().stats;
    assert_eq!((stats.texts, stats.prompts, stats.truncated), (3, 6, 2));
    // Two equal texts cost one; of its second question only what follows the first difference.
    let short = embedder(1).run(&texts[..1], &request, &()).unwrap().stats;
    let both = embedder(1).run(&texts[..2], &request, &()).unwrap().stats;
    assert_eq!(both.read_tokens, short.read_tokens);
    assert_eq!(both.prompt_tokens, 2 * short.prompt_tokens);
    let tail = "y?\n\n### Response:".len();
    assert_eq!(short.read_tokens, short.prompt_tokens / 2 + tail);
}

#[test]
fn vectors_are_of_unit_length_unless_asked_otherwise() {
    let mut request = Request::new(vec!["Why?".into()]);
    let length = |request: &Request| {
        let vector = embedder(1).run(&["abc"], request, &()).unwrap().embeddings;
        vector.iter().map(|v| v * v).sum::<f32>().sqrt()
    };
    assert!((length(&request) - 1.0).abs() < 1e-5);
    request.normalize = Normalize::None;
    assert!((length(&request) - 1.0).abs() > 1e-2);
}

#[test]
fn requests_out_of_range_are_refused_with_the_range() {
    let valid = Request::new(vec!["Why?".into()]);
    let refused = |change: fn(&mut Request), expected: &str| {
        let mut request = valid.clone();
        change(&mut request);
        let message = embedder(1)
            .run(&["x"], &request, &())
            .unwrap_err()
            .to_string();
        assert!(message.contains(expected), "{message}");
    };
    refused(|r| r.questions.clear(), "question");
    refused(|r| r.layer = Some(3), "0 to 2");
    refused(|r| r.also = vec![(Readout::FstGen, 3)], "0 to 2");
    refused(|r| r.max_tokens = 0, "1 to 8192");
    refused(|r| r.answer_tokens = Some(0), "1 to 512");
    refused(|r| r.token_budget = 0, "token budget");
    refused(|r| r.max_tokens = 20, "Why?");
}

/// Runs a job of many batches whose progress goes wrong after a while; fails if it never ends.
fn ends(progress: impl Progress + Send + 'static) -> std::thread::Result<Result<Output>> {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let texts: Vec<String> = (0..200)
            .map(|i| format!("{i} {}", "abc ".repeat(30)))
            .collect();
        let mut request = Request::new(vec!["Why?".into()]);
        request.token_budget = 200;
        let run = || embedder(3).run(&texts, &request, &progress);
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
        sender.send(ended).unwrap();
    });
    let limit = std::time::Duration::from_secs(120);
    receiver.recv_timeout(limit).expect("the job hangs")
}

#[test]
fn a_worker_that_fails_ends_the_job() {
    use std::sync::atomic::{AtomicUsize, Ordering};

    struct After(AtomicUsize, fn() -> bool);
    impl Progress for After {
        fn advance(&self, _texts: usize, _tokens: usize) -> bool {
            // One worker, once, while the others are in the middle of their batches.
            self.0.fetch_add(1, Ordering::SeqCst) != 20 || (self.1)()
        }
    }
    let stopped = ends(After(AtomicUsize::new(0), || false)).unwrap();
    assert!(matches!(stopped, Err(Error::Interrupted)), "{stopped:?}");
    let panicked = ends(After(AtomicUsize::new(0), || panic!("a worker's failure")));
    assert!(panicked.is_err());
    // The embedder is as good as before.
    let request = Request::new(vec!["Why?".into()]);
    assert!(embedder(3).run(&["abc"], &request, &()).is_ok());
}

#[test]
fn further_readouts_and_texts_with_questions_of_their_own_are_as_if_asked_alone() {
    let mut request = Request::new(vec!["Who?".into(), "Why?".into(), "Where to?".into()]);
    request.also = vec![(Readout::AvgPpt, 2), (Readout::FstGen, 1)];
    let (texts, asked) = (["abc", "abd", "a"], [vec![2, 0], vec![], vec![1]]);
    let output = embedder(1).run_each(&texts, &asked, &request, &()).unwrap();
    assert_eq!((output.stats.prompts, output.also.len()), (3, 2));
    let prompts = [("abc", "Where to?"), ("abc", "Who?"), ("a", "Why?")];
    let settings = [
        (Readout::FstGen, 2),
        (Readout::AvgPpt, 2),
        (Readout::FstGen, 1),
    ];
    let all = [&output.embeddings, &output.also[0], &output.also[1]];
    for (vectors, (readout, layer)) in all.into_iter().zip(settings) {
        for (vector, (text, question)) in vectors.chunks_exact(output.dim).zip(prompts) {
            let mut alone = Request::new(vec![question.into()]);
            (alone.readout, alone.layer) = (Some(readout), Some(layer));
            let alone = embedder(1).run(&[text], &alone, &()).unwrap();
            let close = cosine(vector, &alone.embeddings);
            assert!(
                close >= 0.999_999,
                "{close}: {readout} of {layer}, {text} {question}"
            );
        }
    }
    let wrong = embedder(1).run_each(&texts, &[vec![3], vec![], vec![]], &request, &());
    assert!(wrong.unwrap_err().to_string().contains("0 to 2"));
    assert!(
        embedder(1)
            .run_each(&texts, &[vec![0]], &request, &())
            .is_err()
    );
}
