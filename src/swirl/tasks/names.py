"""Given names that the generated tasks share, so that their vocabulary stays small."""

WOMEN = ("Ada", "Bea", "Cora", "Dina", "Edith", "Flora", "Greta", "Hilda", "Ines", "Judith", "Klara", "Lena")
MEN = ("Alan", "Bruno", "Carl", "Diego", "Emil", "Felix", "Gustav", "Hugo", "Ivan", "Jonas", "Konrad", "Leo")
