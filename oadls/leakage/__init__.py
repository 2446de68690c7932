"""Why a score may be too good: each check takes tables or arrays and says what it found."""
