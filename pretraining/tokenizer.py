"""The bundled policy's tokenizer: a closed vocabulary of whole words, whole names, single digits, and each tag as one token.

A word carries the space before it, and a space after an opening tag is nothing: `<math_exp>12 + 7` and `<math_exp> 12 + 7` are the same
tokens, so that a number looks alike wherever it stands.
"""

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from swirl.tasks.facts import SIZES, names_of

USER, ASSISTANT, END, UNKNOWN = "<|user|>", "<|assistant|>", "<|end|>", "<unk>"
OPENING_TAGS = ("<math_exp>", "<search_query>", "<answer>")
TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'user' %}"
    + USER
    + "{{ message['content'] }}"
    + ASSISTANT
    + "{% else %}{{ message['content'] }}{% endif %}{% endfor %}"
)
_NAMES = [name.replace(" ", "▁") for kind in SIZES for name in names_of(kind)]
_PIECE = rf"▁?(?:</?(?:math_exp|search_query|answer)>|->|{'|'.join(_NAMES)}|[A-Za-z]+|[^A-Za-z▁])"


def _backend(vocabulary: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tags = [normalizers.Replace(Regex(f"{tag}▁?"), f"{tag}▁") for tag in OPENING_TAGS]
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁"), *tags])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_PIECE), behavior="isolated")
    bare = [decoders.Replace(f"{tag} ", tag) for tag in OPENING_TAGS]
    tokenizer.decoder = decoders.Sequence(
        [decoders.Fuse(), decoders.Replace("▁", " "), *bare, decoders.Strip(" ", 1, 0)]
    )
    return tokenizer


def make_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A tokenizer that knows every piece of the texts, in sorted order, and all digits and names."""
    splitter = _backend({UNKNOWN: 0})
    pieces = {f"{space}{piece}" for space in ("", "▁") for piece in range(10)} | {f"▁{name}" for name in _NAMES}
    for text in texts:
        normal = splitter.normalizer.normalize_str(text)
        pieces.update(piece for piece, _ in splitter.pre_tokenizer.pre_tokenize_str(normal))
    vocabulary = {piece: i for i, piece in enumerate([UNKNOWN, USER, ASSISTANT, END, *sorted(pieces)])}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=_backend(vocabulary),
        unk_token=UNKNOWN,
        eos_token=END,
        pad_token=END,
        additional_special_tokens=[USER, ASSISTANT],
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer
