"""What libraries say to a user in the product's place, so that it can be said in both languages.

In: nothing. Out: the English sentences of pydantic, of Python's JSON parser, of
the operating system, of Starlette and of typer that a refusal may hold, as texts of the
catalogues. It exists because these come as finished sentences:
`indexer.wording.recognised` finds them again among the texts that stand here.
"""

from __future__ import annotations

from indexer.wording import T_

LIBRARY_TEXTS = (
    # pydantic
    T_("Field required"),
    T_("Value error, %(error)s"),
    T_("Assertion failed, %(error)s"),
    T_("Extra inputs are not permitted"),
    T_("Input should be a valid string"),
    T_("Input should be a valid number"),
    T_("Input should be a valid number, unable to parse string as a number"),
    T_("Input should be a finite number"),
    T_("Input should be a valid integer"),
    T_("Input should be a valid integer, unable to parse string as an integer"),
    T_("Input should be a valid integer, got a number with a fractional part"),
    T_("Input should be a valid boolean"),
    T_("Input should be a valid boolean, unable to interpret input"),
    T_("Input should be a valid list"),
    T_("Input should be a valid tuple"),
    T_("Input should be a valid dictionary"),
    T_("Input should be a valid dictionary or object to extract fields from"),
    T_("Input should be a valid dictionary or instance of %(name)s"),
    T_("Input should be an object"),
    T_("Input should be a valid date"),
    T_("Input should be a valid date or datetime, %(error)s"),
    T_("Input should be a valid date in the format YYYY-MM-DD, %(error)s"),
    T_("Input should be a valid datetime"),
    T_("Input should be a valid datetime, %(error)s"),
    T_("Input should be a valid datetime or date, %(error)s"),
    T_("Input should have timezone info"),
    T_("Input should be %(expected)s"),
    T_("Input should be greater than %(least)s"),
    T_("Input should be greater than or equal to %(least)s"),
    T_("Input should be less than %(most)s"),
    T_("Input should be less than or equal to %(most)s"),
    T_("Input should be None"),
    T_("String should have at least %(least)s character"),
    T_("String should have at least %(least)s characters"),
    T_("String should have at most %(most)s character"),
    T_("String should have at most %(most)s characters"),
    T_("String should match pattern '%(pattern)s'"),
    T_("Input should be a valid string, unable to parse raw data as a unicode string"),
    T_("List should have at least %(least)s item after validation, not %(given)s"),
    T_("List should have at least %(least)s items after validation, not %(given)s"),
    T_("List should have at most %(most)s item after validation, not %(given)s"),
    T_("List should have at most %(most)s items after validation, not %(given)s"),
    T_("Dictionary should have at most %(most)s items after validation, not %(given)s"),
    T_("Unable to extract tag using discriminator %(name)s"),
    T_("JSON decode error"),
    T_("Invalid JSON: %(error)s"),
    # Python's JSON parser
    T_("Expecting value"),
    T_("Expecting property name enclosed in double quotes"),
    T_("Expecting ',' delimiter"),
    T_("Expecting ':' delimiter"),
    T_("Illegal trailing comma before end of object"),
    T_("Illegal trailing comma before end of array"),
    T_("Extra data"),
    T_("Unterminated string starting at"),
    T_("Invalid control character at"),
    # the operating system
    T_("No such file or directory"),
    T_("Permission denied"),
    T_("Is a directory"),
    T_("Not a directory"),
    T_("File exists"),
    T_("File name too long"),
    T_("Input/output error"),
    T_("No space left on device"),
    T_("Read-only file system"),
    T_("Too many open files"),
    T_("Address already in use"),
    # Starlette
    T_("Not Found"),
    T_("Method Not Allowed"),
    T_("There was an error parsing the body"),
    # typer
    T_("No such command %(name)s."),
    T_("No such option: %(name)s"),
    T_("No such option: %(name)s (Possible options: %(names)s)"),
    T_("Missing argument %(name)s."),
    T_("Missing option %(name)s."),
    T_("Missing command."),
    T_("Option %(name)s requires an argument."),
    T_("Got unexpected extra argument(s) (%(arguments)s)"),
    T_("Invalid value: %(error)s"),
    T_("Invalid value for %(name)s: %(error)s"),
    T_("%(value)s is not one of %(values)s."),
)
