"""More than two hundred things a calculator must never trip over, a line each; `TEXT*N` at a line's `@` is that text repeated."""

import re

_LINES = r"""
__import__('os').system('touch CANARY')
eval('1+1')
exec("open('CANARY','w')")
open('CANARY','w').write('x')
().__class__.__bases__[0].__subclasses__()
(1).__class__
[].append(1)
{}['a']
lambda: 1
[x for x in range(10**9)]
(x for x in (1,2))
{1: 2}
{1, 2}
"a" * 1000000000
'9' * 10
f"{1+1}"
b'1'
print(1)
globals()
locals()
getattr(1, 'real')
os.system('ls')
import os
from os import system
del x
x = 1
x := 1
1 if True else 2
1; 2
1
 2 + 2 # comment
1 and 2
1 or 2
not 1
1 < 2
1 == 1
1 != 2
1 << 1000000
1 >> 1
1 | 2
1 & 2
~1
1 @ 2
a.b
a[0]
a
_
__
sqrt
sqrt()
sqrt(
sqrt)
sqrt(1, 2)
sqrt(-1)
sqrt(sqrt)
abs
abs()
abs(,)
min()
max()
min(,1)
round()
round(1, 2, 3)
round(1, 10**6)
round(1, 0.5)
floor()
ceil(1, 2)
log(0)
log(-1)
log(1, 1)
log(10, 0)
log(10, -2)
exp(1000)
exp(10**6)
exp(-10**9)
exp(exp(exp(exp(10))))
9**9**9
9**9**9**9
2**100000
2**-100000
10**10**10
(10**300)**300
((9**99)**99)**99
0**-1
0**0
(-8)**(1/3)
(-1)**0.5
1.5**1000
99999**99999
2**(2**(2**(2**2)))
1/0
1//0
1%0
0/0
1/(1-1)
1/(2-1-1)
5 % (3-3)
1e999
1e-999
1e5
0x10
0b11
0o7
1_000
1j
inf
nan
-inf
Infinity
NaN
1/inf
True
None
...
1..2
1.2.3
.
..
1.
.5.
+
-
*
/
//
%
**
^
()
(())
)
(
)(
1)
(1
((1)
1 +
* 1
1 **
1 //
1 + * 2
1 2
1 (2)
(1)(2)
2(3)
2x
x2
3 apples
three
1,2
1,,000
1,0000
,1
1,
1,000,00
min(1,000, 2)
max(1,000)
$
$$1
$-1
$x
1$
$1,000,000 / $0
% 5
5 %% 3
5 % % 3
50%%
-%
١٢٣
１２３
½
²
2²
π
√4
∞
一
𝟗𝟗
2＋2
2 ⁎ 3
٣ + ٤
1​+1
‮1+2
🙂
\u0031
\x00
<math_exp>1</math_exp>
<script>alert(1)</script>
'; DROP TABLE x; --
${7*7}
{{7*7}}
%s%s%s%n
../../etc/passwd
`id`
$(id)
|id
&& id
@(*2000
@)*2000
@((*500@1*1@))*500
@-*5000@1*1
@+*5000@1*1
@1+*2000@1*1
@1**2
@9*5000
@9*100000
@2**@*1
@2***300@2*1
@1/*3000@3*1
@sqrt(*200@4*1@)*200
@abs(*100@1*1@)*100
@(1+*150@1*1@)*150
@1,*400@1*1
@min(1,*60@1*1@)*60
@ *100000
@a*100000
@1.1**@*1@1.1**@*1
@%*500
@$*500
@1 % *300@7*1
min(5)
max(5)
log(2, 1.00000000000000000001)
log(1e299, 1 + 1e-299)
log(1e299 / 7, 1e-299)
(1e299 / 7) ** 0.5
1e-299 ** -0.5
1e-299 ** 1e-299
1e299 % 1e-299
1e299 // 1e-299
round(1e299, 20)
round(1e-299, -20)
exp(700)
exp(-700)
max(1,000, 2)
max(1,000 ** 1,000)
1e300
1e-300
1e999999999999
1e+-5
2e
2e-pi
e5
1e5e5
1e1.5
@9*299@e299*1
@1e*1@9*400
@log(*1@9*299@)*1
@sqrt(*1@9*299@ + 0.5)*1
@exp(1 / *1@9*290@)*1
@1e5*60
@max(*100@1,000*1@)*100
"""


def hostile_expressions() -> list[str]:
    """The expressions, repeats written out."""
    return [_written(line) for line in _LINES.strip("\n").split("\n")]


def _written(line: str) -> str:
    if not line.startswith("@"):
        return line.replace("\\x00", "\x00")
    return "".join(text * int(times) for text, times in re.findall(r"@(.+?)\*(\d+)(?=@|$)", line)) or line
